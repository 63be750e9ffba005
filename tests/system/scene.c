/*
 * scene.c - actors, calls and looks that several system tests share.
 */
#include "tests/system/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORDS = 32, READY_TIMEOUT_MS = 60000 };

pid_t scene_start(const char *const *arguments, int out, bool *is_ready)
{
    int ready[2];
    char number[16], line[16] = "";
    const char *all[MOST_WORDS] = {NULL};
    size_t count = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    snprintf(number, sizeof(number), "%d", ready[1]);
    for (; arguments[count]; count++) {
        assert_true(count < MOST_WORDS - 3);
        all[count] = arguments[count];
    }
    all[count] = "--ready-fd";
    all[count + 1] = number;
    pid_t pid = process_start(all, -1, out, ready[1]);
    close(ready[1]);
    struct pollfd poll_fd = {.fd = ready[0], .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, READY_TIMEOUT_MS), 1);
    ssize_t size = read(ready[0], line, sizeof(line) - 1);
    close(ready[0]);
    *is_ready = size > 0;
    assert_true(size <= 0 || strcmp(line, "READY\n") == 0);
    return pid;
}

pid_t scene_serve(const char *programs, const char *database, const char *endpoint)
{
    char program[256];
    bool is_ready;
    snprintf(program, sizeof(program), "%s/stigstore", programs);
    const char *serve[] = {program, "serve", "--db", database, "--endpoint", endpoint, NULL};
    pid_t pid = scene_start(serve, -2, &is_ready);
    assert_true(is_ready);
    return pid;
}

struct output scene_run(int code, const char *const *words, const void *input, size_t input_size)
{
    const char *all[MOST_WORDS] = {"stigstore"};
    for (size_t i = 0; words[i]; i++) {
        assert_true(i < MOST_WORDS - 2);
        all[i + 1] = words[i];
    }
    struct output output = process_run(all, input, input_size);
    if (output.code != code)
        fail_msg("stigstore %s: exit %d, wanted %d\nerrors: %s", words[0], output.code, code, output.errors);
    return output;
}

void scene_expect(int code, const char *printed, const char *const *words, const char *input)
{
    struct output output = scene_run(code, words, input, input ? strlen(input) : 0);
    assert_string_equal(output.text, printed);
    output_free(&output);
}

const char *scene_through_broker(const struct service *service)
{
    static _Thread_local char url[200];
    snprintf(url, sizeof(url), "%s?reads=broker", service->endpoint);
    return url;
}

int scene_save(stigstore *store, const char *id, const char *data)
{
    return stigstore_save_resource(store, stigstore_text("k"), stigstore_text(id), stigstore_text(data), NULL);
}

int scene_get(stigstore *store, const char *id, char text[64])
{
    stigstore_result *result = NULL;
    int status = stigstore_get_resource(store, stigstore_text("k"), stigstore_text(id), &result);
    text[0] = '\0';
    if (status == STIGSTORE_OK)
        snprintf(text, 64, "%.*s", (int)result->items[0].data.size, (const char *)result->items[0].data.data);
    stigstore_result_free(&result);
    return status;
}

void scene_must_save(stigstore *store, const char *id, const char *data)
{
    assert_status(OK, scene_save(store, id, data));
}

void scene_must_hold(stigstore *store, const char *id, const char *data)
{
    char text[64];
    assert_status(OK, scene_get(store, id, text));
    assert_string_equal(text, data);
}

uint64_t scene_count(stigstore *store, const char *kind)
{
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = stigstore_text(kind)};
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_call(store, &request, &result));
    uint64_t count = result->count;
    stigstore_result_free(&result);
    return count;
}

void scene_status(int expected, int actual, const char *what, const char *file, int line)
{
    if (expected != actual) {
        print_error("%s: expected %s, got %s\n", what, stigstore_status_name(expected), stigstore_status_name(actual));
        _fail(file, line);
    }
}

int64_t scene_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool scene_is_gone(void *pid)
{
    return kill(*(pid_t *)pid, 0) != 0 && errno == ESRCH;
}
