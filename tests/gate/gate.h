/*
 * gate.h - a service that listens on a port of this host, with a folder of keys that the command's own verbs keep.
 *
 * A client is known by its name: its pair lies in FOLDER/NAME.key.
 */
#ifndef TESTS_GATE_GATE_H
#define TESTS_GATE_GATE_H
#include "stigstore.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/scene.h"

enum { GATE_KEY_CHARS = 40 };

struct gate {
    struct service service;
    char *folder, *keys;
    char url[64]; /* tcp://127.0.0.1:PORT, the same for every broker of this service */
    char server_key[GATE_KEY_CHARS + 1];
    int port_fd; /* holds the port while no broker does */
};

/* A folder with the server's pair and one client, "owner", an admin; nothing runs. */
void gate_prepare(struct gate *gate);
/* The same, and the service. */
void gate_open(struct gate *gate);
void gate_start(struct gate *gate);
/* Stops what runs and removes the folder. */
void gate_free(struct gate *gate);

/* Runs `stigstore` with these words and wants that exit code; standard output is thrown away. */
void gate_run(int code, const char *const *words);
#define GATE_RUN(code, ...) gate_run(code, (const char *const[]){__VA_ARGS__, NULL})
/* FOLDER/NAME.key in a buffer that the eighth call from now uses again. */
const char *gate_key_file(const struct gate *gate, const char *name);
void gate_keygen(const struct gate *gate, const char *name);
void gate_authorize(const struct gate *gate, const char *name, const char *role);
void gate_revoke(const struct gate *gate, const char *name);
/* The Z85 text behind `what` ("public-key", "secret-key") in a client's file. */
void gate_key(const struct gate *gate, const char *name, const char *what, char out[GATE_KEY_CHARS + 1]);

/* Opens over tcp with that client's key, NULL: with none; the status. */
int gate_enter(const struct gate *gate, const char *name, uint32_t timeout_ms, stigstore **store);
/* The same, which must come in. */
stigstore *gate_entered(const struct gate *gate, const char *name);
/* Opens on this host. */
stigstore *gate_entered_here(const struct gate *gate);
/* A whole number of the service's `status`, -1: not there. */
long gate_number(const struct gate *gate, const char *name);
#endif
