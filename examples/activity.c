/*
 * activity.c - what a Temporal activity does: read an execution, merge its step into it, save it if nobody was faster.
 *
 *     activity URL WORKFLOW RUN ACTIVITY
 *
 * Temporal runs an activity at least once: after a timeout it starts it again, perhaps in another process, while the
 * first may still be under way. The idempotency key `workflow/run/activity` names the step, so that it is applied once
 * however often it is tried, although each try reads anew and stamps another time.
 */
#include <stigstore.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct step {
    const char *name;
    char *document; /* the merged text; stays valid until the update returns */
};

/* Merges one line into the document. Called again when another activity was faster: it must not remember its last try. */
static stigstore_decision merge(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct step *step = context;
    size_t size = current ? current->data.size : 0;
    size_t room = size + strlen(step->name) + sizeof(" done at -9223372036854775808\n");
    free(step->document);
    step->document = malloc(room);
    if (!step->document)
        return STIGSTORE_UPDATE_ABORT;
    if (size)
        memcpy(step->document, current->data.data, size);
    size +=
        (size_t)snprintf(step->document + size, room - size, "%s done at %lld\n", step->name, (long long)time(NULL));
    *data = (stigstore_bytes){step->document, size};
    return STIGSTORE_UPDATE_SAVE;
}

/* For free(); NULL: no memory. Whole: two steps must not share a key because it was cut. */
static char *join(const char *first, const char *second)
{
    size_t room = strlen(first) + strlen(second) + sizeof("/");
    char *text = malloc(room);
    if (text)
        snprintf(text, room, "%s/%s", first, second);
    return text;
}

static int run_step(stigstore *store, const char *workflow, const char *run, struct step *step)
{
    char *id = join(workflow, run), *key = id ? join(id, step->name) : NULL;
    if (!key) {
        fprintf(stderr, "out of memory\n");
        free(id);
        return STIGSTORE_NO_MEMORY;
    }
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("execution"), .id = stigstore_text(id),
                                 .idempotency_key = stigstore_text(key), .timeout_ms = 30000};
    stigstore_result *result = NULL;
    int status = stigstore_update(store, &request, merge, step, &result);
    if (status == STIGSTORE_OK) {
        printf("%s: revision %" PRIu64 "%s\n", step->name, result->revision,
               result->flags & STIGSTORE_REPLAYED ? ", applied by an earlier try" : "");
    } else {
        fprintf(stderr, "%s: %s: %s\n", step->name, stigstore_status_name(status), result ? result->message : "");
    }
    stigstore_result_free(&result);
    free(id);
    free(key);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s URL WORKFLOW RUN ACTIVITY\n", argv[0]);
        return 2;
    }
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    if (stigstore_open(argv[1], NULL, &store, &result) != STIGSTORE_OK) {
        fprintf(stderr, "cannot open %s: %s\n", argv[1], result ? result->message : "");
        stigstore_result_free(&result);
        return 1;
    }
    stigstore_result_free(&result);
    struct step step = {.name = argv[4]};
    int status = run_step(store, argv[2], argv[3], &step);
    free(step.document);
    stigstore_free(&store);
    return status == STIGSTORE_OK ? 0 : 1;
}
