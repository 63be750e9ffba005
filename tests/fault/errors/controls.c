/*
 * controls.c - what the stories must find, built in on request.
 *
 * half-list: a list that a read failed is said to be whole.  wrong-status: no memory is called damage.
 * swallowed-write: a statement that failed counts as done.  leak: what failed to open leaves memory behind.
 */
#include "proto/status.h"
#include "storage/sqlite_reading.h"
#include "storage/sqlite_writing.h"
#include "tests/fault/errors/errors.h"
#include "tests/fault/wrap.h"

#include <string.h>

int control_list_next(struct sqlite_store *store, struct list_rows *rows, struct item *item, struct arena *arena,
                      size_t *room) INSTEAD_OF(sqlite_list_next);
int real_list_next(struct sqlite_store *store, struct list_rows *rows, struct item *item, struct arena *arena,
                   size_t *room) REAL(sqlite_list_next);
int control_status(struct sqlite_store *store, int rc) INSTEAD_OF(sqlite_status);
int real_status(struct sqlite_store *store, int rc) REAL(sqlite_status);
int control_run(sqlite3_stmt *statement) INSTEAD_OF(sqlite_run);
int real_run(sqlite3_stmt *statement) REAL(sqlite_run);
int control_fail(sqlite3 *db, int rc, const char *what, struct failure *failure) INSTEAD_OF(sqlite_fail);
int real_fail(sqlite3 *db, int rc, const char *what, struct failure *failure) REAL(sqlite_fail);

int control_list_next(struct sqlite_store *store, struct list_rows *rows, struct item *item, struct arena *arena,
                      size_t *room)
{
    int status = real_list_next(store, rows, item, arena, room);

    return status != STATUS_OK && errors_is_control("half-list") ? STATUS_END : status;
}

int control_status(struct sqlite_store *store, int rc)
{
    int status = real_status(store, rc);

    return status == STATUS_NO_MEMORY && errors_is_control("wrong-status") ? STATUS_CORRUPT : status;
}

int control_run(sqlite3_stmt *statement)
{
    int rc = real_run(statement);

    return errors_is_control("swallowed-write") ? SQLITE_OK : rc;
}

int control_fail(sqlite3 *db, int rc, const char *what, struct failure *failure)
{
    char *lost = errors_is_control("leak") ? strdup("lost") : NULL;

    (void)lost;
    return real_fail(db, rc, what, failure);
}
