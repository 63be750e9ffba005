/* lock_text.c - the owner's text in a lock file: written in one piece, believed only when whole. */
#include "storage/lock_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, READ_ATTEMPTS = 3, CHECKSUM_LINE_BYTES = 4 + 16 + 1 };

static const char text_head[] = "stigstore-lock 1\n";
static const char *const mode_names[] = {"nobody", "embedded", "service", "standalone"};

/* FNV-1a: against torn reads, not against malice. */
static uint64_t checksum(const char *text, size_t size)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void hex_encode(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool hex_decode(const char *text, uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * size)
        return false;
    for (size_t i = 0; i < 2 * size; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            return false;
        uint8_t half = (uint8_t)(digit - digits);
        bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] | half : half << 4);
    }
    return true;
}

int lock_text_write(int fd, const struct lock_holder *holder, struct failure *failure)
{
    char text[TEXT_BYTES + 1], boot[2 * sizeof(holder->boot_id) + 1];
    if (!is_one_line(holder->host) || !is_one_line(holder->endpoint))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "host or endpoint holds control characters");
    hex_encode(holder->boot_id, sizeof(holder->boot_id), boot);
    int size = snprintf(text, sizeof(text),
                        "%smode %s\npid %" PRId64 "\nhost %s\npid-namespace %" PRIu64
                        "\nboot %s\nstopped-cleanly %d\nendpoint %s\n",
                        text_head, mode_names[holder->mode], holder->pid, holder->host, holder->pid_namespace, boot,
                        holder->stopped_cleanly, holder->endpoint);
    size_t used = (size_t)size;
    snprintf(text + used, sizeof(text) - used, "sum %016" PRIx64 "\n", checksum(text, used));
    used += CHECKSUM_LINE_BYTES;
    memset(text + used, ' ', TEXT_BYTES - used - 1);
    text[TEXT_BYTES - 1] = '\n';
    ssize_t written = pwrite(fd, text, TEXT_BYTES, 0);
    if (written == TEXT_BYTES)
        return STATUS_OK;
    int error = written < 0 ? errno : ENOSPC;
    return failure_set(failure, error == ENOSPC || error == EDQUOT ? STATUS_STORAGE_FULL : STATUS_IO_ERROR,
                       "cannot describe the owner in the lock file: %s", strerror(error));
}

static bool take_number(const char *value, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long read = strtoull(value, &end, 10);
    *number = read;
    return value[0] >= '0' && value[0] <= '9' && errno == 0 && *end == '\0' && read <= most;
}

static bool take_string(const char *value, char *out, size_t out_bytes)
{
    size_t size = strlen(value);
    if (size >= out_bytes || !is_one_line(value))
        return false;
    memcpy(out, value, size + 1);
    return true;
}

static bool take_mode(const char *value, enum lock_mode *mode)
{
    for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++)
        if (strcmp(value, mode_names[i]) == 0) {
            *mode = (enum lock_mode)i;
            return true;
        }
    return false;
}

/* One line "name value"; names of a later version are passed over. */
static bool take_line(const char *name, const char *value, struct lock_holder *holder)
{
    uint64_t number = 0;
    bool good = true;
    if (strcmp(name, "mode") == 0) {
        good = take_mode(value, &holder->mode);
    } else if (strcmp(name, "pid") == 0) {
        good = take_number(value, INT32_MAX, &number);
        holder->pid = (int64_t)number;
    } else if (strcmp(name, "host") == 0) {
        good = take_string(value, holder->host, sizeof(holder->host));
    } else if (strcmp(name, "pid-namespace") == 0) {
        good = take_number(value, UINT64_MAX, &holder->pid_namespace);
    } else if (strcmp(name, "boot") == 0) {
        good = hex_decode(value, holder->boot_id, sizeof(holder->boot_id));
    } else if (strcmp(name, "stopped-cleanly") == 0) {
        good = take_number(value, 1, &number);
        holder->stopped_cleanly = number == 1;
    } else if (strcmp(name, "endpoint") == 0) {
        good = take_string(value, holder->endpoint, sizeof(holder->endpoint));
    }
    return good;
}

/* Where the checksum's line begins if everything before it agrees with it, else NULL. */
static char *find_end(char *text)
{
    char sum[CHECKSUM_LINE_BYTES + 1];
    char *end = strstr(text, "\nsum ");
    if (!end || strncmp(text, text_head, sizeof(text_head) - 1) != 0)
        return NULL;
    end++;
    snprintf(sum, sizeof(sum), "sum %016" PRIx64 "\n", checksum(text, (size_t)(end - text)));
    return strncmp(end, sum, CHECKSUM_LINE_BYTES) == 0 ? end : NULL;
}

/* `text` is NUL terminated and is cut up. */
static bool parse(char *text, struct lock_holder *holder)
{
    char *end = find_end(text);
    if (!end)
        return false;
    *end = '\0';
    char *line = text + sizeof(text_head) - 1, *next;
    for (; (next = strchr(line, '\n')) != NULL; line = next + 1) {
        char *value = memchr(line, ' ', (size_t)(next - line));
        *next = '\0';
        if (!value)
            return false;
        *value = '\0';
        if (!take_line(line, value + 1, holder))
            return false;
    }
    return true;
}

bool lock_text_read(int fd, struct lock_holder *holder)
{
    char text[TEXT_BYTES + 1];
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        memset(holder, 0, sizeof(*holder));
        ssize_t size = pread(fd, text, TEXT_BYTES, 0);
        text[size > 0 ? size : 0] = '\0';
        if (parse(text, holder))
            return true;
    }
    memset(holder, 0, sizeof(*holder));
    return false;
}
