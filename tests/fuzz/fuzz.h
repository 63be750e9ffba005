/*
 * fuzz.h - what the fuzz targets share: a requirement that ends the run, and values taken from the input one by one.
 *
 * A target is a pure function of its input: a file that broke it breaks it again.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(holds)                                                                 \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input; past its end everything is zero. */
struct feed {
    const uint8_t *at;
    size_t left;
};

static inline uint64_t feed_number(struct feed *feed, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes && feed->left > 0; i++) {
        number |= (uint64_t)*feed->at++ << (8 * i);
        feed->left--;
    }
    return number;
}

static inline uint8_t feed_byte(struct feed *feed)
{
    return (uint8_t)feed_number(feed, 1);
}
#endif
