/*
 * supervisor.c - a supervisor that does not keep the database which it serves, linked from the real one's objects;
 * and a `stigstore status` that with $STIGSTORE_FAULT nameless names nobody who holds a snapshot.
 *
 * With $STIGSTORE_FAULT no-owner it lets the owner's lock go as soon as its name stands there: between a writer's death
 * and the next one nobody holds a lock.
 */
#include "cli/holders.h"
#include "storage/lock.h"
#include "tests/fault/wrap.h"

#include <stdlib.h>
#include <string.h>

int faulty_describe(struct lock *lock, const struct lock_holder *holder, struct failure *failure)
    INSTEAD_OF(lock_describe);
int real_describe(struct lock *lock, const struct lock_holder *holder, struct failure *failure) REAL(lock_describe);

json_t *faulty_holders(const char *database_path) INSTEAD_OF(holders_of);
json_t *real_holders(const char *database_path) REAL(holders_of);

json_t *faulty_holders(const char *database_path)
{
    const char *fault = getenv("STIGSTORE_FAULT");
    return fault && strcmp(fault, "nameless") == 0 ? json_array() : real_holders(database_path);
}

int faulty_describe(struct lock *lock, const struct lock_holder *holder, struct failure *failure)
{
    const char *fault = getenv("STIGSTORE_FAULT");
    int status = real_describe(lock, holder, failure);
    if (fault && strcmp(fault, "no-owner") == 0)
        lock_release(lock, LOCK_OWNER);
    return status;
}
