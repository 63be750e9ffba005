/*
 * good.h - clients that behave, under a load of one call each few milliseconds through the broker, and what they saw.
 *
 * Owns: threads, each with a handle of its own.  Thread: the one that started them.
 */
#ifndef TESTS_HOSTILE_GOOD_H
#define TESTS_HOSTILE_GOOD_H
#include <stddef.h>
#include <stdint.h>

struct good;
/* `url` of the service, with reads=broker; deadlines are the library's own. */
struct good *good_start(const char *url);
void good_stop(struct good **good);

/* Latencies from now on are another measurement's. */
void good_forget(struct good *good);
/* How many there are since then. */
size_t good_count(struct good *good);
/* The 99th percentile of them, in us. */
uint64_t good_p99_us(struct good *good);
/* Calls that failed since the start; 0 is what is wanted. The name of the last failure to `*last`. */
uint64_t good_failed(struct good *good, const char **last);
/* Calls in all. */
uint64_t good_calls(struct good *good);
/* The longest call since good_forget, in us. */
uint64_t good_longest_us(struct good *good);
#endif
