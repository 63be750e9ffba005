/*
 * main.c - runs the suite on a fresh store, opened in the way that the command line names.
 */
#include "tests/behaviour/behaviour.h"
#include "tests/support/folder.h"
#include "tests/support/service.h"

#include <stdlib.h>

struct place place;
stigstore *store;

stigstore *open_another(void)
{
    stigstore_options options = {.struct_size = sizeof(options), .timeout_ms = 30000, .open_timeout_ms = 30000};
    stigstore *opened = NULL;
    stigstore_result *result = NULL;
    if (stigstore_open(place.url, &options, &opened, &result) != STIGSTORE_OK)
        fail_msg("cannot open %s: %s", place.url, result ? result->message : "no result");
    stigstore_result_free(&result);
    return opened;
}

static enum way way_of(const char *name)
{
    return strcmp(name, "local") == 0 ? WAY_LOCAL : strcmp(name, "broker") == 0 ? WAY_BROKER : WAY_EMBEDDED;
}

int main(int argc, char **argv)
{
    place.way = way_of(argc > 1 ? argv[1] : "embedded");
    struct service service = {0};
    if (place.way == WAY_EMBEDDED) {
        place.folder = folder_new();
        snprintf(place.database, sizeof(place.database), "%s/store.sqlite", place.folder);
        snprintf(place.url, sizeof(place.url), "%s", place.database);
    } else {
        service = service_start(NULL, NULL);
        place.folder = service.folder;
        snprintf(place.database, sizeof(place.database), "%s", service.database);
        snprintf(place.url, sizeof(place.url), "%s%s", service.endpoint,
                 place.way == WAY_BROKER ? "?reads=broker" : "");
    }
    store = open_another();
    int failed = resource_tests() + condition_tests() + audit_tests() + cursor_tests() + queue_tests() + edge_tests() +
                 thread_tests() + handle_tests() + misuse_tests();
    stigstore_free(&store);
    if (service.pid)
        service_free(&service);
    else
        folder_remove(&place.folder);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
