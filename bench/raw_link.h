/*
 * raw_link.h - a connection of our own to a broker: frames as proto/PROTOCOL.md has them, without the client library.
 *
 * Owns: a context with one DEALER.  Thread: one.
 */
#ifndef BENCH_RAW_LINK_H
#define BENCH_RAW_LINK_H
#include "proto/body.h"
#include "proto/envelope.h"

#include <zmq.h>

struct raw_link;

/* Connects and waits for the WELCOME of a broker that has a writer. NULL with one line in `why`. */
struct raw_link *raw_link_new(const char *endpoint, const char *server_key, const char *key_file, uint32_t timeout_ms,
                              char *why, size_t room);
void raw_link_free(struct raw_link **link);
/* As the last HELLO had it; `path` is not kept. */
const struct hello *raw_link_hello(const struct raw_link *link);
bool raw_link_send(struct raw_link *link, const struct envelope *envelope, const void *body, size_t body_bytes);
/* What has arrived, without waiting: false: nothing. Otherwise *body is the caller's to close. A HELLO is taken note
 * of, and handed out. */
bool raw_link_receive(struct raw_link *link, struct envelope *envelope, zmq_msg_t *body);
/* Until something has arrived, or `until_ns` of CLOCK_MONOTONIC. */
void raw_link_wait(struct raw_link *link, int64_t until_ns);
#endif
