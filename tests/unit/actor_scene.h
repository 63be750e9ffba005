/*
 * actor_scene.h - the program stigstore-reader between a broker and a writer that the tests play.
 */
#ifndef TESTS_ACTOR_SCENE_H
#define TESTS_ACTOR_SCENE_H
#include "actor_stage.h"
#include "storage/storage.h"

#include <sys/types.h>

struct scene {
    struct stage stage;
    char database[128];
    struct storage *writer;
    pid_t reader;
    int ready_fd;
    uint8_t *body; /* of the message received last */
    size_t size;
    struct envelope envelope;
    const struct reply *replies;
    size_t count;
    uint64_t ticket;
};

/* A database with 000000, 000001, 000002 of kind "k", 100 bytes each, and a reader that is attached to it. */
int scene_setup(void **state);
int scene_teardown(void **state);

/* ---- the writer's part ---- */
void scene_opens_writer(struct scene *scene);
/* `count` resources of `data_bytes`, named by six digits from `from` on, in one commit. */
void scene_save(struct scene *scene, unsigned from, unsigned count, size_t data_bytes);

/* ---- the broker's part ---- */
void scene_says_hello(struct scene *scene, uint16_t flags, uint64_t writer_epoch);
/* The next message that is no heartbeat, decoded. */
void scene_receives(struct scene *scene);
/* For the next ticket. */
struct envelope scene_envelope(struct scene *scene, uint8_t type);
void scene_asks(struct scene *scene, const struct envelope *envelope, const struct request *requests, size_t count);
struct request scene_get(const char *id);
/* Asks one request and waits for its reply; NULL when the whole message was refused. */
const struct reply *scene_asks_one(struct scene *scene, struct request request);
uint64_t scene_opens_list(struct scene *scene, uint64_t credit_bytes); /* its ticket */
void scene_tells(struct scene *scene, uint8_t type, uint64_t ticket, uint64_t bytes);
/* The exit code of the reader. */
int scene_waits_for_reader(struct scene *scene);
#endif
