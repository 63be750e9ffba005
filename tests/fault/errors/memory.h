/*
 * memory.h - the allocations of the code under test, its own and SQLite's, counted and failing on demand.
 *
 * Ours come here by the linker's --wrap, SQLite's by its configuration; other libraries' do not.  Works under
 * sanitizers, whose allocator stands behind.
 *
 * Owns: nothing but `memory`.  Thread: one; on others nothing fails.
 */
#ifndef TESTS_FAULT_ERRORS_MEMORY_H
#define TESTS_FAULT_ERRORS_MEMORY_H
#include <stdbool.h>

extern struct memory {
    bool fails;  /* an allocation fails when its turn has come */
    bool stays;  /* and so do all after it */
    long before; /* so many still succeed */
    bool has_failed;
    unsigned long met; /* while `counts` */
    bool counts;
    long live; /* allocations that were not freed */
} memory;

/* Before anything else of SQLite's. */
void memory_install(void);
/* SQLite's live bytes and our live allocations, as one number that comes back to what it was when all is freed. */
long memory_in_use(void);
#endif
