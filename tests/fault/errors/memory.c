/*
 * memory.c - functions in the place of the C library's; what they give is the real ones' and freed by them.
 */
#include "tests/fault/errors/memory.h"
#include "tests/fault/wrap.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory memory;
static _Thread_local bool is_ours; /* the thread that installed */
static sqlite3_mem_methods real_memory;

static bool fails_now(void)
{
    if (!is_ours)
        return false;
    memory.met += memory.counts;
    if (!memory.fails || (memory.has_failed && !memory.stays) || memory.before-- > 0)
        return false;
    memory.has_failed = true;
    errno = ENOMEM;
    return true;
}

static void *count_new(void *made)
{
    if (made)
        __atomic_add_fetch(&memory.live, 1, __ATOMIC_RELAXED);
    return made;
}

/* ---- ours ---- */

void *memory_malloc(size_t size) INSTEAD_OF(malloc);
void *real_malloc(size_t size) REAL(malloc);
void *memory_calloc(size_t count, size_t size) INSTEAD_OF(calloc);
void *real_calloc(size_t count, size_t size) REAL(calloc);
void *memory_realloc(void *old, size_t size) INSTEAD_OF(realloc);
void *real_realloc(void *old, size_t size) REAL(realloc);
void *memory_reallocarray(void *old, size_t count, size_t size) INSTEAD_OF(reallocarray);
void *real_reallocarray(void *old, size_t count, size_t size) REAL(reallocarray);
void memory_free(void *old) INSTEAD_OF(free);
void real_free(void *old) REAL(free);
char *memory_strdup(const char *text) INSTEAD_OF(strdup);
char *real_strdup(const char *text) REAL(strdup);
char *memory_strndup(const char *text, size_t size) INSTEAD_OF(strndup);
char *real_strndup(const char *text, size_t size) REAL(strndup);
char *memory_realpath(const char *path, char *into) INSTEAD_OF(realpath);
char *real_realpath(const char *path, char *into) REAL(realpath);
int memory_asprintf(char **text, const char *format, ...) INSTEAD_OF(asprintf) __attribute__((format(printf, 2, 3)));
int memory_asprintf_checked(char **text, int flag, const char *format, ...) INSTEAD_OF(__asprintf_chk)
    __attribute__((format(printf, 3, 4)));

void *memory_malloc(size_t size)
{
    return fails_now() ? NULL : count_new(real_malloc(size));
}

void *memory_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : count_new(real_calloc(count, size));
}

void *memory_realloc(void *old, size_t size)
{
    void *made = fails_now() ? NULL : real_realloc(old, size);

    return old ? made : count_new(made);
}

void *memory_reallocarray(void *old, size_t count, size_t size)
{
    void *made = fails_now() ? NULL : real_reallocarray(old, count, size);

    return old ? made : count_new(made);
}

void memory_free(void *old)
{
    if (old)
        __atomic_sub_fetch(&memory.live, 1, __ATOMIC_RELAXED);
    real_free(old);
}

char *memory_strdup(const char *text)
{
    return fails_now() ? NULL : count_new(real_strdup(text));
}

char *memory_strndup(const char *text, size_t size)
{
    return fails_now() ? NULL : count_new(real_strndup(text, size));
}

char *memory_realpath(const char *path, char *into)
{
    if (into)
        return real_realpath(path, into);
    return fails_now() ? NULL : count_new(real_realpath(path, into));
}

static int format_new(char **text, const char *format, va_list arguments)
{
    int size;

    if (fails_now())
        return -1;
    size = vasprintf(text, format, arguments);
    if (size >= 0)
        count_new(*text);
    return size;
}

int memory_asprintf(char **text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = format_new(text, format, arguments);
    va_end(arguments);
    return size;
}

int memory_asprintf_checked(char **text, int flag, const char *format, ...)
{
    va_list arguments;

    (void)flag;
    va_start(arguments, format);
    int size = format_new(text, format, arguments);
    va_end(arguments);
    return size;
}

/* ---- SQLite's ---- */

static void *sqlite_alloc(int size)
{
    return fails_now() ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return fails_now() ? NULL : real_memory.xRealloc(old, size);
}

void memory_install(void)
{
    sqlite3_mem_methods methods;

    is_ours = true;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
        abort();
    methods = real_memory;
    methods.xMalloc = sqlite_alloc;
    methods.xRealloc = sqlite_realloc;
    /* Without a store of its own for small allocations each one comes here. */
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK)
        abort();
}

long memory_in_use(void)
{
    return memory.live * 1000003 + (long)sqlite3_memory_used();
}
