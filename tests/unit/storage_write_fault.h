/*
 * storage_write_fault.h - SQLite's own file system with failures on demand.
 */
#ifndef TESTS_UNIT_STORAGE_WRITE_FAULT_H
#define TESTS_UNIT_STORAGE_WRITE_FAULT_H
#include <stdbool.h>

/* What the files of SQLite say to each write and sync from now on; 0: what they really do. */
extern struct fault {
    int write_rc, sync_rc;
    int writes_before; /* so many still succeed */
    bool dies;         /* the process ends at an act on the disk: a write, sync, truncation or removal */
    int acts_before;   /* so many are still done, with `dies` */
    unsigned reads;    /* counted */
    long long written; /* bytes, counted */
} fault;

/* One more act: ends the process if its turn has come. For what a test does beside SQLite. */
void fault_act(void);

/* Becomes the default of every connection opened later. */
void fault_install(void);
void fault_clear(void);
#endif
