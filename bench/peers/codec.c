/*
 * codec.c - what the codec of proto/ costs beside protobuf-c's, on the same batch of saves.
 *
 *     codec [VALUE-BYTES [ROUNDS]]
 *
 * Prints ns a request, encoding and decoding, median of ROUNDS alternating rounds, with the ratio. The figures of
 * docs/adr/0007 come from here.
 */
#include "proto/body.h"
#include "proto/clock.h"
#include "stigstore.pb-c.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS = 64, REPEATS = 200, MOST_ROUNDS = 99 };

typedef Stigstore__Wire__V1__RequestBatch foreign_batch;

struct batch {
    struct request requests[REQUESTS];
    char ids[REQUESTS][24];
    uint8_t *value;
    uint8_t *bytes;
    size_t size;
    struct arena *arena;
};

static void fill(struct batch *batch, size_t value_bytes)
{
    batch->value = calloc(1, value_bytes + 1);
    batch->arena = arena_new(0);
    assert(batch->value && batch->arena);
    for (size_t i = 0; i < REQUESTS; i++) {
        snprintf(batch->ids[i], sizeof batch->ids[i], "workflow/%08zu", i);
        batch->requests[i] = (struct request){.operation = OPERATION_SAVE,
                                              .kind = span_text("execution"),
                                              .id = span_text(batch->ids[i]),
                                              .data = {batch->value, value_bytes}};
    }
    batch->size = body_requests_size(NULL, batch->requests, REQUESTS, 0);
    batch->bytes = malloc(batch->size);
    assert(batch->bytes);
}

static void encode_ours(struct batch *batch)
{
    batch->size = body_requests_size(NULL, batch->requests, REQUESTS, 0);
    body_encode_requests(NULL, batch->requests, REQUESTS, 0, batch->bytes);
}

static void decode_ours(struct batch *batch)
{
    struct request_batch decoded;
    int status = body_decode_requests(batch->bytes, batch->size, 0, batch->arena, &decoded);
    assert(status == STATUS_OK && decoded.count == REQUESTS);
    arena_reset(batch->arena);
}

static void encode_theirs(struct batch *batch)
{
    foreign_batch *message = stigstore__wire__v1__request_batch__unpack(NULL, batch->size, batch->bytes);
    assert(message);
    size_t size = stigstore__wire__v1__request_batch__get_packed_size(message);
    assert(size == batch->size);
    stigstore__wire__v1__request_batch__pack(message, batch->bytes);
    stigstore__wire__v1__request_batch__free_unpacked(message, NULL);
}

static void decode_theirs(struct batch *batch)
{
    foreign_batch *message = stigstore__wire__v1__request_batch__unpack(NULL, batch->size, batch->bytes);
    assert(message && message->n_requests == REQUESTS);
    stigstore__wire__v1__request_batch__free_unpacked(message, NULL);
}

static double measure(void (*step)(struct batch *), struct batch *batch)
{
    int64_t begin_ns = clock_boot_ns();
    for (unsigned i = 0; i < REPEATS; i++)
        step(batch);
    return (double)(clock_boot_ns() - begin_ns) / REPEATS / REQUESTS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures, size_t count)
{
    qsort(figures, count, sizeof *figures, compare);
    return figures[count / 2];
}

int main(int argc, char **argv)
{
    static struct batch batch;
    static double figures[4][MOST_ROUNDS];
    size_t value_bytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 2048;
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 9;
    if (rounds == 0 || rounds > MOST_ROUNDS || value_bytes > 100000) {
        fprintf(stderr, "usage: %s [VALUE-BYTES up to 100000 [ROUNDS up to %d]]\n", argv[0], MOST_ROUNDS);
        return 2;
    }
    fill(&batch, value_bytes);
    encode_ours(&batch);
    for (size_t i = 0; i < rounds; i++) {
        figures[0][i] = measure(encode_ours, &batch);
        figures[2][i] = measure(decode_theirs, &batch);
        figures[1][i] = measure(encode_theirs, &batch) - figures[2][i]; /* it needs an unpacked message first */
        figures[3][i] = measure(decode_ours, &batch);
    }
    double ours_encode = median(figures[0], rounds), theirs_encode = median(figures[1], rounds);
    double ours_decode = median(figures[3], rounds), theirs_decode = median(figures[2], rounds);
    printf("%zu-byte saves, %d a batch, ns a request, median of %zu\n", value_bytes, REQUESTS, rounds);
    printf("encode  proto/ %7.1f  protobuf-c %7.1f  %.2f x\n", ours_encode, theirs_encode, theirs_encode / ours_encode);
    printf("decode  proto/ %7.1f  protobuf-c %7.1f  %.2f x\n", ours_decode, theirs_decode, theirs_decode / ours_decode);
    return 0;
}
