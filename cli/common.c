/*
 * common.c - the common options, opening a store, errors and exit codes, reading and printing.
 */
#include "cli/cli.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct cli_common cli_common;

enum option_key { KEY_STORE = 0x100, KEY_TIMEOUT, KEY_JSON, KEY_TAKE_OVER, KEY_SERVER_KEY, KEY_KEY_FILE };

static const struct argp_option common_options[] = {
    {"store", KEY_STORE, "URL", 0,
     "PATH, sqlite:PATH, ipc://PATH or tcp://HOST:PORT; else $STIGSTORE_URL, else the default store", 0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "how long to wait, to open and for each call (5)", 0},
    {"json", KEY_JSON, NULL, 0, "print one JSON object a line", 0},
    {"take-over", KEY_TAKE_OVER, NULL, 0, "own a file whose standalone actors were not stopped cleanly", 0},
    {"server-key", KEY_SERVER_KEY, "K", 0, "tcp: the server's public key, Z85", 0},
    {"key-file", KEY_KEY_FILE, "F", 0, "tcp: file with our own key pair", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_timeout(struct argp_state *state, const char *argument)
{
    double seconds = 0;
    if (!cli_real(argument, 1e6, &seconds)) {
        argp_error(state, "--timeout takes seconds above 0, not '%s'", argument);
        return EINVAL;
    }
    cli_common.timeout_ms = (uint32_t)ceil(seconds * 1000);
    return 0;
}

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case KEY_STORE:
        cli_common.store = argument;
        return 0;
    case KEY_TIMEOUT:
        return parse_timeout(state, argument);
    case KEY_JSON:
        cli_common.json = true;
        return 0;
    case KEY_TAKE_OVER:
        cli_common.take_over = true;
        return 0;
    case KEY_SERVER_KEY:
        cli_common.server_key = argument;
        return 0;
    case KEY_KEY_FILE:
        cli_common.key_file = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_common_argp = {common_options, parse_common, NULL, NULL, NULL, NULL, NULL};

void cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("stigstore: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* Notices of the library: what it found or did that a person should know. */
static void print_notice(void *context, int level, const char *line)
{
    (void)context;
    if (level <= 3)
        cli_error("%s", line);
}

int cli_try_open(enum cli_access access, uint32_t flags, stigstore **store)
{
    stigstore_options options = {.struct_size = sizeof(options),
                                 .flags = flags,
                                 .timeout_ms = cli_common.timeout_ms,
                                 .open_timeout_ms = cli_common.timeout_ms,
                                 .server_key = cli_common.server_key,
                                 .key_file = cli_common.key_file,
                                 .log = print_notice};
    if (access == CLI_READS)
        options.flags |= STIGSTORE_OPEN_READ_ONLY | STIGSTORE_OPEN_MUST_EXIST;
    if (cli_common.take_over)
        options.flags |= STIGSTORE_OPEN_TAKE_OVER;
    stigstore_result *result = NULL;
    int status = stigstore_open(cli_common.store, &options, store, &result);
    /* Nothing was asked of the store yet: whatever stopped it, no mutation is in doubt. */
    int code = cli_report_status(CLI_READS, status, 0, result ? result->message : NULL);
    stigstore_result_free(&result);
    return code;
}

stigstore *cli_open(enum cli_access access, uint32_t flags)
{
    stigstore *store = NULL;
    int code = cli_try_open(access, flags, &store);
    if (code != CLI_OK)
        exit(code);
    return store;
}

static int exit_code(enum cli_access access, int status, uint32_t flags)
{
    switch (status) {
    case STIGSTORE_OK:
    case STIGSTORE_END:
        return CLI_OK;
    case STIGSTORE_NOT_FOUND:
        return CLI_NOT_FOUND;
    case STIGSTORE_INVALID_ARGUMENT:
    case STIGSTORE_TOO_LARGE:
        return CLI_USAGE;
    case STIGSTORE_CONFLICT:
        return CLI_CONFLICT;
    case STIGSTORE_OVERLOADED:
    case STIGSTORE_UNAVAILABLE:
    case STIGSTORE_BUSY:
    case STIGSTORE_STORAGE_FULL:
    case STIGSTORE_NO_MEMORY:
    case STIGSTORE_KEYS_EXHAUSTED:
        return CLI_LATER;
    default:
        break;
    }
    bool may_be_applied = access == CLI_WRITES && !(flags & STIGSTORE_NOT_APPLIED) &&
                          stigstore_status_applied(status) == STIGSTORE_APPLIED_MAYBE;
    if (may_be_applied)
        return CLI_OUTCOME_UNKNOWN;
    return status == STIGSTORE_DEADLINE_EXCEEDED ? CLI_LATER : CLI_FAILED;
}

static const char *what_to_do(int code, int status)
{
    if (code == CLI_OUTCOME_UNKNOWN)
        return "; it may have been applied: retry with the same --idempotency-key, or read first";
    switch (stigstore_status_advice(status)) {
    case STIGSTORE_ADVICE_RESEND:
    case STIGSTORE_ADVICE_LATER:
        return "; try again later";
    case STIGSTORE_ADVICE_READ_AGAIN:
        return "; read the present state first";
    default:
        return "";
    }
}

int cli_report_status(enum cli_access access, int status, uint32_t flags, const char *message)
{
    int code = exit_code(access, status, flags);
    if (code != CLI_OK) {
        const char *text = message && *message ? message : stigstore_status_text(status);
        cli_error("%s: %s%s", stigstore_status_name(status), text, what_to_do(code, status));
    }
    return code;
}

int cli_report(enum cli_access access, const stigstore_result *result)
{
    if (result->status == STIGSTORE_CONFLICT && result->revision) {
        char message[320];
        snprintf(message, sizeof(message), "%.256s: %" PRIu64, result->message, result->revision);
        return cli_report_status(access, result->status, result->flags, message);
    }
    return cli_report_status(access, result->status, result->flags, result->message);
}

int cli_call(stigstore *store, enum cli_access access, const stigstore_request *request, stigstore_result **result)
{
    int status = stigstore_call(store, request, result);
    return *result ? cli_report(access, *result) : cli_report_status(access, status, 0, NULL);
}

int cli_each(stigstore *store, const stigstore_request *list, int (*take)(void *context, const stigstore_item *item),
             void *context)
{
    stigstore_cursor *cursor = NULL;
    stigstore_result *result = NULL;
    int status = stigstore_cursor_open(store, list, &cursor, &result);
    const stigstore_item *item = NULL;
    int code = CLI_OK;
    while (status == STIGSTORE_OK && code == CLI_OK && (status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK)
        code = take(context, item);
    if (code == CLI_OK) {
        const char *message = cursor ? stigstore_cursor_message(cursor) : result ? result->message : NULL;
        code = cli_report_status(CLI_READS, status, 0, message);
    }
    stigstore_cursor_free(&cursor);
    stigstore_result_free(&result);
    return code;
}

/* No store takes more than the limit, so nothing beyond it is read. */
static bool read_all(int fd, stigstore_bytes *data)
{
    size_t capacity = (size_t)64 * 1024, size = 0;
    char *bytes = malloc(capacity);
    while (bytes) {
        ssize_t got = read(fd, bytes + size, capacity - size);
        size += got > 0 ? (size_t)got : 0;
        if (got == 0 || size > LIMIT_DATA_BYTES_MOST) {
            *data = (stigstore_bytes){bytes, size};
            return true;
        }
        if (got < 0 && errno != EINTR)
            break;
        if (size == capacity) {
            char *larger = realloc(bytes, capacity *= 2);
            if (!larger) {
                errno = ENOMEM;
                break;
            }
            bytes = larger;
        }
    }
    free(bytes);
    return false;
}

static bool is_over_limit(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > (off_t)LIMIT_DATA_BYTES_MOST;
}

int cli_read_file(const char *path, stigstore_bytes *data)
{
    bool is_stdin = !path || strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int code = CLI_OK;
    *data = (stigstore_bytes){NULL, 0};
    if (fd < 0 || (!is_over_limit(fd) && !read_all(fd, data))) {
        cli_error("cannot read %s: %s", name, strerror(errno));
        code = CLI_FAILED;
    } else if (!data->data || data->size > LIMIT_DATA_BYTES_MOST) {
        cli_error("TOO_LARGE: %s is over the %d MiB that any store takes", name, (int)(LIMIT_DATA_BYTES_MOST / MIB));
        code = CLI_USAGE;
    }
    if (code != CLI_OK) {
        free((void *)(uintptr_t)data->data);
        *data = (stigstore_bytes){NULL, 0};
    }
    if (fd >= 0 && !is_stdin)
        close(fd);
    return code;
}

/* Why standard output first failed; whatever is called before the end may change errno. */
static int output_errno;

bool cli_wrote(bool done)
{
    if (!done && output_errno == 0)
        output_errno = errno;
    return done;
}

bool cli_write_all(FILE *out, stigstore_bytes bytes)
{
    return cli_wrote(bytes.size == 0 || fwrite(bytes.data, 1, bytes.size, out) == bytes.size);
}

int cli_finish(int code)
{
    bool flushed = cli_wrote(fflush(stdout) == 0);
    if (!flushed || ferror(stdout)) {
        if (output_errno != EPIPE)
            cli_error("cannot write to standard output: %s", strerror(output_errno));
        return code ? code : CLI_FAILED;
    }
    return code;
}

void cli_time(int64_t ms, char out[32])
{
    int64_t rest = (ms % 1000 + 1000) % 1000; /* before 1970 too */
    time_t seconds = (time_t)((ms - rest) / 1000);
    struct tm tm;
    char date[24];
    if (!gmtime_r(&seconds, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm)) {
        snprintf(out, 32, "%" PRId64, ms);
        return;
    }
    snprintf(out, 32, "%s.%03dZ", date, (int)rest);
}

static json_t *json_of_bytes(stigstore_bytes bytes)
{
    return json_stringn(bytes.size ? bytes.data : "", bytes.size);
}

static json_t *json_base64(stigstore_bytes bytes)
{
    size_t room = sodium_base64_ENCODED_LEN(bytes.size, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room);
    json_t *value = NULL;
    if (text) {
        sodium_bin2base64(text, room, bytes.data, bytes.size, sodium_base64_VARIANT_ORIGINAL);
        value = json_string(text);
    }
    free(text);
    return value;
}

bool cli_print_json(const stigstore_item *item, bool is_audit, bool with_data)
{
    char created[32], updated[32];
    cli_time(item->created_ms, created);
    cli_time(item->updated_ms, updated);
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_of_bytes(item->kind));
    json_object_set_new(object, "id", json_of_bytes(item->id));
    json_object_set_new(object, "revision", json_integer((json_int_t)item->revision));
    if (is_audit) {
        json_object_set_new(object, "hash", json_of_bytes(item->hash));
        json_object_set_new(object, "tag", json_of_bytes(item->tag));
        json_object_set_new(object, "archived_at", json_string(updated));
    } else {
        json_object_set_new(object, "created_at", json_string(created));
        json_object_set_new(object, "updated_at", json_string(updated));
    }
    json_object_set_new(object, "bytes", json_integer((json_int_t)item->data_bytes));
    if (with_data)
        json_object_set_new(object, "data", json_base64(item->data));
    bool done = cli_wrote(object && json_dumpf(object, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF);
    json_decref(object);
    return done;
}
