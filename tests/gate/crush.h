/*
 * crush.h - peers without a key that take every place a service has for connections.
 */
#ifndef TESTS_GATE_CRUSH_H
#define TESTS_GATE_CRUSH_H
#include "tests/gate/gate.h"

enum { CRUSH_PEERS = 1100 }; /* more than the service has places */

struct crush {
    int fds[CRUSH_PEERS];
};

/* One of them: its descriptor, which the caller closes. */
int crush_connect(const struct gate *gate);
/* Raises this process's bound on descriptors; false when it may not. */
bool crush_is_possible(void);
/* Connects that many times and says nothing. */
void crush_begin(struct crush *crush, const struct gate *gate);
void crush_end(struct crush *crush);
#endif
