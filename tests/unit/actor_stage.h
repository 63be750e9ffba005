/*
 * actor_stage.h - a ROUTER that plays the broker towards one worker.
 *
 * Owns: a folder, a context, the router.  Thread: one.
 */
#ifndef TESTS_ACTOR_STAGE_H
#define TESTS_ACTOR_STAGE_H
#include "proto/body.h"
#include "proto/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STAGE_PATIENCE_MS = 10000, STAGE_ID_BYTES = 5 };

struct stage {
    char folder[64], endpoint[128], workers[160];
    void *context, *router;
    struct arena *arena;
    uint8_t id[STAGE_ID_BYTES]; /* of the worker, as the router calls it */
    uint64_t life;
};

void stage_open(struct stage *stage);
void stage_close(struct stage *stage);
void stage_open_router(struct stage *stage);

void stage_sends(struct stage *stage, const struct envelope *envelope, struct span body);
/* One frame behind the routing id is a probe: false. */
bool stage_receives(struct stage *stage, struct envelope *envelope, void *body, size_t *size);
/* An envelope as the broker makes them for work, due in 5 s. */
struct envelope stage_envelope(const struct stage *stage, uint8_t type, uint64_t ticket);
void stage_asks(struct stage *stage, uint8_t type, uint64_t ticket, struct span body);
void stage_says_hello(struct stage *stage, uint16_t flags, const struct hello *hello);
#endif
