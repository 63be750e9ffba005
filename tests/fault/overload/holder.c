/*
 * holder.c - fault_holder: a client that stops in the moment after a read, with the snapshot that it keeps.
 *
 *     fault_holder URL
 */
#include "stigstore.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    stigstore *store = NULL;
    stigstore_options options = {.struct_size = sizeof(options), .timeout_ms = 60000, .open_timeout_ms = 60000};
    if (argc != 2 || stigstore_open(argv[1], &options, &store, NULL) != STIGSTORE_OK)
        return 2;
    /* The first reads may find out where the file is. */
    for (unsigned i = 0; i < 100; i++) {
        int status = stigstore_get_resource(store, stigstore_text("load"), stigstore_text("0"), NULL);
        if (status != STIGSTORE_OK)
            return 1;
    }
    kill(getpid(), SIGSTOP);
    stigstore_free(&store);
    return 0;
}
