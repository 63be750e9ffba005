/*
 * legacy.h - what stands inside the ids and messages of rows that Stigmer's own store wrote.
 *
 * Owns: nothing.  Thread: any.  What comes in is a file's: nothing about it is assumed.
 */
#ifndef STORAGE_LEGACY_H
#define STORAGE_LEGACY_H
#include "proto/span.h"

#include <sqlite3.h>

/* `<kind>_audit/<id>/<digits>`: an audit record among the resources, as schema 1 kept them. */
struct legacy_audit {
    struct span resource_id;
    struct span digits; /* nanoseconds; without leading zeros, so that length and bytes give their order */
};

/* Does the id begin as an audit record's of this kind? */
bool legacy_begins_as_audit(struct span kind, struct span id);
/* Is it one to the end? Spans point into `id`. */
bool legacy_parse_audit(struct span kind, struct span id, struct legacy_audit *audit);
/* status(5).version_hash(1) and spec(4).tag(2) of a skill's message; both empty when it cannot be read. */
void legacy_read_labels(struct span message, struct span *hash, struct span *tag);

/*
 * The same as SQL functions of the connection:
 *     legacy_target(kind, id), legacy_digits(kind, id)     NULL when the id is not an audit record's
 *     legacy_hash(kind, data), legacy_tag(kind, data)      NULL when there is none, and for kinds other than skill
 * An SQLite result code.
 */
int legacy_register(sqlite3 *db);
#endif
