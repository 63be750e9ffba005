/*
 * memory.c - a list of 1 GiB streams through service and client within a few MiB.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/load.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 1024, GROWTH_MOST_KIB = 16 * 1024, ACTORS = 5 };

/* Peak resident KiB since the last reset. */
static long peak_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        sscanf(line, "VmHWM: %ld kB", &kib);
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

static void reset_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/clear_refs", (long)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "5", 1), 1);
    close(fd);
}

static void fill(stigstore *store)
{
    size_t bytes = (size_t)1 << 20;
    char *data = malloc(bytes);
    assert_non_null(data);
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%05u", i);
        memset(data, (int)(i % 251), bytes);
        assert_int_equal(stigstore_save_resource(store, stigstore_text("large"), stigstore_text(id),
                                                 (stigstore_bytes){data, bytes}, NULL),
                         STIGSTORE_OK);
    }
    free(data);
}

static unsigned list_all(stigstore *store)
{
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text("large"), .timeout_ms = 60000};
    stigstore_cursor *cursor = NULL;
    assert_int_equal(stigstore_cursor_open(store, &request, &cursor, NULL), STIGSTORE_OK);
    const stigstore_item *item = NULL;
    unsigned seen = 0;
    int status;
    while ((status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK) {
        assert_int_equal(item->data.size, 1 << 20);
        assert_int_equal(((const unsigned char *)item->data.data)[item->data.size - 1], seen % 251);
        seen++;
    }
    assert_int_equal(status, STIGSTORE_END);
    stigstore_cursor_free(&cursor);
    return seen;
}

static void a_gibibyte_streams_within_its_bound(void **state)
{
    (void)state;
    static const char *const options[] = {"--snapshot-seconds", "300", NULL};
    struct service service = service_start(NULL, options);
    char url[200];
    snprintf(url, sizeof(url), "%s?reads=broker", service.endpoint);
    stigstore *through = load_open(url, 60000), *local = load_open(service.url, 60000);
    fill(through);

    pid_t pids[ACTORS] = {getpid(), service_actor(&service, "stigstore-broker", 0),
                          service_actor(&service, "stigstore-writer", 0)};
    assert_int_equal(process_children(service.pid, "stigstore-reader", pids + 3, 2), 2);
    long before[ACTORS];
    for (unsigned i = 0; i < ACTORS; i++) {
        reset_peak(pids[i]);
        before[i] = peak_kib(pids[i]);
    }
    assert_int_equal(list_all(through), COUNT);
    assert_int_equal(list_all(local), COUNT);
    for (unsigned i = 0; i < ACTORS; i++) {
        long growth = peak_kib(pids[i]) - before[i];
        print_message("process %u grew by %ld KiB\n", i, growth);
        assert_true(growth <= GROWTH_MOST_KIB);
    }
    stigstore_free(&through);
    stigstore_free(&local);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_gibibyte_streams_within_its_bound)};
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
