/*
 * scene.h - what several system tests do: start one actor by its ready handshake, short calls, look into the service.
 */
#ifndef TESTS_SYSTEM_SCENE_H
#define TESTS_SYSTEM_SCENE_H
#include "stigstore.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

#include <sys/types.h>

/* Whether the build has sanitizers, which cost memory and time of their own. */
#ifndef SCENE_IS_SANITIZED
#define SCENE_IS_SANITIZED 0
#endif

/* Starts a program with --ready-fd behind `arguments`; `is_ready` false: it ended without saying READY. Its standard
 * output goes to `out` (-2: nowhere, standard error too). */
pid_t scene_start(const char *const *arguments, int out, bool *is_ready);
/* `stigstore serve` of another folder of programs; it is ready. */
pid_t scene_serve(const char *programs, const char *database, const char *endpoint);
/* Runs `stigstore` with these words and checks the exit code; what it printed is the caller's to free. */
struct output scene_run(int code, const char *const *words, const void *input, size_t input_size);
/* The same, and checks what it printed. */
void scene_expect(int code, const char *printed, const char *const *words, const char *input);

/* The service's endpoint with ?reads=broker. */
const char *scene_through_broker(const struct service *service);

/* Kind "k"; the status. */
int scene_save(stigstore *store, const char *id, const char *data);
/* Kind "k"; the status, and the data as text ("" when it is not OK). */
int scene_get(stigstore *store, const char *id, char text[64]);
void scene_must_save(stigstore *store, const char *id, const char *data);
void scene_must_hold(stigstore *store, const char *id, const char *data);
/* How many of kind `kind` there are. */
uint64_t scene_count(stigstore *store, const char *kind);
/* The status by name, so that a failure says more than a number. */
#define assert_status(expected, actual) scene_status(STIGSTORE_##expected, (actual), #actual, __FILE__, __LINE__)
void scene_status(int expected, int actual, const char *what, const char *file, int line);

int64_t scene_now_ms(void);
bool scene_is_gone(void *pid);
#endif
