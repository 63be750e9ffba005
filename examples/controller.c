/*
 * controller.c - what a gRPC controller does: many queries at once from one event loop.
 *
 *     controller URL KIND PREFIX TAG
 *
 * Lists the resources under PREFIX as a stream, asks for the first of them by get and get_many, and for its archived
 * version with TAG. Everything is submitted to one queue whose descriptor stands in a poll loop, as it would beside
 * sockets of other kinds.
 */
#include <stigstore.h>

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a result answers; it comes back in result->user. */
enum question { LIST_PIECE, ONE, MANY, BY_TAG };

struct controller {
    stigstore_queue *queue;
    stigstore_bytes kind, tag;
    uint64_t list_ticket;
    unsigned outstanding;
    size_t listed;
    char *ids[2]; /* the first two, for the questions that follow */
    bool failed;
};

static void ask(struct controller *controller, const stigstore_request *request, enum question question,
                uint64_t *ticket)
{
    int status = stigstore_submit(controller->queue, request, question, ticket);
    if (status != STIGSTORE_OK) {
        fprintf(stderr, "submit: %s\n", stigstore_status_name(status));
        controller->failed = true;
        return;
    }
    controller->outstanding++;
}

static char *copy_text(stigstore_bytes bytes)
{
    char *text = malloc(bytes.size + 1);
    if (text) {
        memcpy(text, bytes.data, bytes.size);
        text[bytes.size] = '\0';
    }
    return text;
}

/* The first two ids are known: ask for them while the rest of the list is still coming. */
static void ask_about_first(struct controller *controller)
{
    stigstore_bytes first = stigstore_text(controller->ids[0]);
    stigstore_request one = {STIGSTORE_REQUEST(GET), .kind = controller->kind, .id = first};
    ask(controller, &one, ONE, NULL);
    stigstore_request parts[] = {
        {STIGSTORE_REQUEST(GET), .kind = controller->kind, .id = first},
        {STIGSTORE_REQUEST(GET), .kind = controller->kind, .id = stigstore_text(controller->ids[1])},
        {STIGSTORE_REQUEST(GET), .kind = controller->kind, .id = stigstore_text("no such resource")}};
    stigstore_request many = {STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = 3};
    ask(controller, &many, MANY, NULL);
    stigstore_request by_tag = {STIGSTORE_REQUEST(AUDIT_BY_TAG), .kind = controller->kind, .id = first,
                                .tag = controller->tag};
    ask(controller, &by_tag, BY_TAG, NULL);
}

static void take_piece(struct controller *controller, const stigstore_result *result)
{
    for (size_t i = 0; i < result->item_count && controller->listed + i < 2; i++)
        controller->ids[controller->listed + i] = copy_text(result->items[i].id);
    bool had_two = controller->listed >= 2;
    controller->listed += result->item_count;
    if (!had_two && controller->listed >= 2 && controller->ids[0] && controller->ids[1])
        ask_about_first(controller);
    if (result->flags & STIGSTORE_MORE) { /* taken: the next piece may come */
        stigstore_queue_more(controller->queue, controller->list_ticket);
        controller->outstanding++;
    }
}

static void take_result(struct controller *controller, const stigstore_result *result)
{
    controller->outstanding--;
    if (result->status != STIGSTORE_OK && result->status != STIGSTORE_NOT_FOUND) {
        fprintf(stderr, "%s: %s\n", stigstore_status_name(result->status), result->message);
        controller->failed = true;
        return;
    }
    switch ((enum question)result->user) {
    case LIST_PIECE:
        take_piece(controller, result);
        break;
    case ONE:
        printf("get: %" PRIu64 " bytes, revision %" PRIu64 "\n", result->items[0].data_bytes,
               result->items[0].revision);
        break;
    case MANY:
        for (size_t i = 0; i < result->item_count; i++)
            printf("get_many %zu: %s\n", i, stigstore_status_name(result->items[i].status));
        break;
    case BY_TAG:
        printf("by tag: %s\n", result->status == STIGSTORE_OK ? "found" : "no such version");
        break;
    }
}

/* Looks until nothing is there any more; then the descriptor tells when something is. */
static void take_all(struct controller *controller)
{
    stigstore_result *results[16] = {NULL};
    size_t count = 0;
    do {
        if (stigstore_queue_wait(controller->queue, results, 16, 0, &count) != STIGSTORE_OK)
            controller->failed = true;
        for (size_t i = 0; i < count; i++)
            take_result(controller, results[i]);
        stigstore_results_free(results, count);
    } while (count > 0 && !controller->failed);
}

static void event_loop(struct controller *controller)
{
    while (controller->outstanding > 0 && !controller->failed) {
        struct pollfd fds[] = {{.fd = stigstore_queue_fd(controller->queue), .events = POLLIN}};
        if (poll(fds, 1, 30000) <= 0) {
            fprintf(stderr, "no answer within 30 s\n");
            controller->failed = true;
            return;
        }
        take_all(controller);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s URL KIND PREFIX TAG\n", argv[0]);
        return 2;
    }
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    stigstore_options options = {.struct_size = sizeof(options), .flags = STIGSTORE_OPEN_READ_ONLY};
    if (stigstore_open(argv[1], &options, &store, &result) != STIGSTORE_OK) {
        fprintf(stderr, "cannot open %s: %s\n", argv[1], result ? result->message : "");
        stigstore_result_free(&result);
        return 1;
    }
    stigstore_result_free(&result);
    struct controller controller = {.kind = stigstore_text(argv[2]), .tag = stigstore_text(argv[4])};
    controller.failed = stigstore_queue_new(store, &controller.queue) != STIGSTORE_OK;
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = controller.kind, .id = stigstore_text(argv[3]),
                              .flags = STIGSTORE_KEYS_ONLY};
    if (!controller.failed) {
        ask(&controller, &list, LIST_PIECE, &controller.list_ticket);
        event_loop(&controller);
    }
    printf("listed %zu\n", controller.listed);
    free(controller.ids[0]);
    free(controller.ids[1]);
    stigstore_queue_free(&controller.queue);
    stigstore_free(&store);
    return controller.failed ? 1 : 0;
}
