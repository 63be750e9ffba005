/*
 * cli.c - fuzz target: what the command line takes apart itself: numbers, times, URLs, endpoints, names, settings, keys.
 *
 * The first byte chooses the parser, the rest is its text.  What a number is, is said here a second time.
 */
#include "cli/cli.h"
#include "actor/actor.h"
#include "cli/key_folder.h"
#include "cli/serve_config.h"
#include "client/url.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- numbers ---- */

static bool is_number(const char *text, uint64_t most, uint64_t *number)
{
    unsigned __int128 sum = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (sum <= UINT64_MAX)
            sum = sum * 10 + (unsigned)(*at - '0');
    *number = (uint64_t)sum;
    return at > text && !*at && sum <= most;
}

static void number_up_to(const char *text, uint64_t most)
{
    uint64_t wanted, number = 0, other = 0;
    bool good = is_number(text, most, &wanted);
    REQUIRE(cli_number(text, most, &number) == good && (!good || number == wanted));
    REQUIRE(actor_parse_number(text, 1, most, &other) == (good && wanted >= 1));
    REQUIRE(other == 0 || other == wanted);
}

/* The bounds are those that it lies just within and just without. */
static void numbers(const char *text)
{
    uint64_t value;
    number_up_to(text, UINT32_MAX);
    number_up_to(text, UINT64_MAX);
    if (is_number(text, UINT64_MAX, &value)) {
        number_up_to(text, value);
        if (value > 0)
            number_up_to(text, value - 1);
    }
}

static void reals(const char *text)
{
    double number;
    if (cli_real(text, 1e6, &number)) {
        REQUIRE(number > 0 && number <= 1e6);
        REQUIRE((uint32_t)(number * 1000) <= 1000000000);
    }
}

/* ---- places ---- */

static void url_text(const char *text)
{
    struct url url, again;
    struct failure failure = {0};
    int status = url_parse(text, &url, &failure);
    if (status != STATUS_OK) {
        REQUIRE(status == STATUS_INVALID_ARGUMENT || status == STATUS_UNSUPPORTED);
        REQUIRE(failure.status == status && *failure.message);
        url_free(&url);
        return;
    }
    REQUIRE(url.target && *url.target);
    REQUIRE(url.kind == URL_PATH || !strchr(url.target, '?'));
    REQUIRE(url.kind != URL_IPC || strlen(url.target) <= strlen("ipc://") + LIMIT_IPC_PATH_BYTES);
    if (url.kind != URL_PATH) { /* a path may look like a URL: sqlite:ipc://x */
        REQUIRE(url_parse(url.target, &again, NULL) == STATUS_OK && again.kind == url.kind);
        REQUIRE(strcmp(again.target, url.target) == 0);
        url_free(&again);
    }
    url_free(&url);
}

static void endpoint_text(const char *text)
{
    char folder[256], workers[128];
    struct failure failure = {0};
    if (endpoint_folder(text, "/health", folder, sizeof folder, &failure) == STATUS_OK)
        REQUIRE(folder[0] == '/' && strlen(folder) >= strlen("/x/health"));
    if (endpoint_of_workers(text, workers, sizeof workers, &failure) == STATUS_OK)
        REQUIRE(strlen(workers) <= strlen("ipc://") + LIMIT_IPC_PATH_BYTES);
    if (key_name_is_good(text))
        REQUIRE(*text && *text != '.' && !strchr(text, '/') && strlen(text) <= KEY_NAME_BYTES);
}

/* ---- files ---- */

static int memory_file(const void *bytes, size_t size, char path[32])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static char *print(const struct serve_config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    REQUIRE(out);
    serve_config_print(config, out);
    REQUIRE(fclose(out) == 0);
    return text;
}

/* What is printed reads back as the same; an empty value as its default. */
static void require_readable(const struct serve_config *config)
{
    struct serve_config again = {{NULL}};
    char path[32];
    size_t size = 0;
    char *text = print(config, &size);
    int fd = memory_file(text, size, path);
    REQUIRE(serve_config_file(&again, path, NULL) == STATUS_OK);
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        const char *value = config->values[setting], *other = again.values[setting];
        REQUIRE(*value ? other && strcmp(value, other) == 0 : !other);
    }
    serve_config_clear(&again);
    close(fd);
    free(text);
}

static void settings(const char *bytes, size_t size)
{
    struct serve_config config = {{NULL}};
    struct failure failure = {0};
    char path[32];
    int fd = memory_file(bytes, size, path);
    int status = serve_config_file(&config, path, &failure);
    REQUIRE(status == STATUS_OK || (status == STATUS_INVALID_ARGUMENT && *failure.message));
    if (status == STATUS_OK) {
        uint64_t number = 0;
        REQUIRE(serve_config_defaults(&config) == STATUS_OK);
        if (serve_config_number(&config, SERVE_readers, 1, 64, &number, &failure) == STATUS_OK)
            REQUIRE(number >= 1 && number <= 64);
        require_readable(&config);
    }
    serve_config_clear(&config);
    close(fd);
}

static void key(const char *bytes, size_t size)
{
    char path[32], public_key[KEY_FILE_CHARS + 1];
    int fd = memory_file(bytes, size, path);
    if (key_file_read(AT_FDCWD, path, public_key, NULL) == STATUS_OK) {
        REQUIRE(strlen(public_key) == KEY_FILE_CHARS);
        for (const char *at = public_key; *at; at++)
            REQUIRE(isgraph((unsigned char)*at));
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size); /* the first byte's place is the terminator's */
    REQUIRE(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'n':
        numbers(text);
        break;
    case 'r':
        reals(text);
        break;
    case 'u':
        url_text(text);
        break;
    case 'e':
        endpoint_text(text);
        break;
    case 's':
        settings(text, size - 1);
        break;
    case 'k':
        key(text, size - 1);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
