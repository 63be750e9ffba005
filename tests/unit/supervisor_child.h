/*
 * supervisor_child.h - what a child of the supervisor does in its tests.
 */
#ifndef TESTS_SUPERVISOR_CHILD_H
#define TESTS_SUPERVISOR_CHILD_H

/* Plays "broker", "writer" or "reader": says in the pipe $TEST_PIPE "ROLE PID GROUP MEMORY-LIMIT DATABASE", then does
 * what $TEST_BROKER, $TEST_WRITER or $TEST_READER says: "serve" (the default), "ignore" signals, "refuse", "fail once".
 * Gives the exit code. */
int child_play(const char *role, int argc, char **argv);
#endif
