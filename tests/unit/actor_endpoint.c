/* actor_endpoint.c - names of sockets, and what a bind may replace. */
#include "actor/actor.h"
#include "proto/limits.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], path[128], endpoint[160], workers[160];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->folder, "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/run/broker.sock", place->folder);
    snprintf(place->endpoint, sizeof place->endpoint, "ipc://%s", place->path);
    snprintf(place->workers, sizeof place->workers, "%s.workers", place->path);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place->folder);
    int status = system(command);
    free(place);
    return status;
}

static void make_run_folder(const struct place *place, mode_t mode)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/run", place->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chmod(folder, mode), 0);
}

static int bind_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void names_the_workers_endpoint(void **state)
{
    (void)state;
    char out[128];
    struct failure failure;
    assert_int_equal(endpoint_of_workers("ipc:///run/a/b.sock", out, sizeof out, &failure), STATUS_OK);
    assert_string_equal(out, "ipc:///run/a/b.sock.workers");
    assert_int_equal(endpoint_of_workers("tcp://host:1", out, sizeof out, &failure), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_of_workers("ipc://relative", out, sizeof out, &failure), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_of_workers("ipc://@abstract", out, sizeof out, &failure), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_of_workers("ipc:///a/", out, sizeof out, &failure), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_of_workers("ipc:///run/a/b.sock", out, 10, &failure), STATUS_INVALID_ARGUMENT);
}

static void bounds_the_path_with_the_suffix(void **state)
{
    (void)state;
    char endpoint[200], out[200];
    size_t most = LIMIT_IPC_PATH_BYTES - strlen(".workers");
    strcpy(endpoint, "ipc:///");
    memset(endpoint + 7, 'a', most - 1);
    endpoint[6 + most] = '\0';
    assert_int_equal(endpoint_of_workers(endpoint, out, sizeof out, NULL), STATUS_OK);
    strcat(endpoint, "a");
    assert_int_equal(endpoint_of_workers(endpoint, out, sizeof out, NULL), STATUS_INVALID_ARGUMENT);
}

static void the_root_is_no_folder_of_its_own(void **state)
{
    (void)state;
    char out[128];
    assert_int_equal(endpoint_folder("ipc:///a.sock", "/health", out, sizeof out, NULL), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_folder("ipc:////a.sock", "/health", out, sizeof out, NULL), STATUS_INVALID_ARGUMENT);
    assert_int_equal(endpoint_folder("ipc:///run//a.sock", "/health", out, sizeof out, NULL), STATUS_OK);
    assert_string_equal(out, "/run/health");
}

static void makes_the_folder_for_its_owner_alone(void **state)
{
    struct place *place = *state;
    struct failure failure;
    struct stat info;
    char folder[128];
    assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_OK);
    assert_int_equal(endpoint_folder(place->endpoint, "", folder, sizeof folder, &failure), STATUS_OK);
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void refuses_a_shared_folder(void **state)
{
    struct place *place = *state;
    struct failure failure;
    static const mode_t modes[] = {0777, 01777, 0770, 0702};
    char folder[128];
    make_run_folder(place, 0700);
    assert_int_equal(endpoint_folder(place->endpoint, "", folder, sizeof folder, &failure), STATUS_OK);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(folder, modes[i]), 0);
        assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(failure.message, folder));
    }
}

static void refuses_a_way_that_others_may_replace(void **state)
{
    struct place *place = *state;
    struct failure failure;
    make_run_folder(place, 0700);
    assert_int_equal(chmod(place->folder, 0777), 0);
    assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_INVALID_ARGUMENT);
    assert_int_equal(chmod(place->folder, 01777), 0);
    assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_OK);
}

static void leaves_other_files_alone(void **state)
{
    struct place *place = *state;
    struct failure failure;
    const char *const paths[] = {place->path, place->workers};
    make_run_folder(place, 0700);
    for (size_t i = 0; i < 2; i++) {
        int fd = open(paths[i], O_CREAT | O_WRONLY, 0600);
        assert_int_equal(write(fd, "precious", 8), 8);
        close(fd);
        assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_INVALID_ARGUMENT);
        struct stat info;
        assert_int_equal(stat(paths[i], &info), 0);
        assert_int_equal(info.st_size, 8);
        unlink(paths[i]);
    }
}

static void tells_a_living_socket_from_a_dead_one(void **state)
{
    struct place *place = *state;
    struct failure failure;
    make_run_folder(place, 0700);
    int fd = bind_socket(place->workers);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_BUSY);
    close(fd);
    assert_int_equal(endpoint_check_bind(place->endpoint, &failure), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_workers_endpoint),
        cmocka_unit_test(bounds_the_path_with_the_suffix),
        cmocka_unit_test(the_root_is_no_folder_of_its_own),
        cmocka_unit_test_setup_teardown(makes_the_folder_for_its_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_shared_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_way_that_others_may_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_other_files_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_a_living_socket_from_a_dead_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
