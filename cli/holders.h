/*
 * holders.h - which processes hold a snapshot of a database, and so keep its WAL from being reset.
 */
#ifndef CLI_HOLDERS_H
#define CLI_HOLDERS_H
#include <jansson.h>

/* An array of {"pid", "program"}, from the read marks that the kernel's lock table shows on PATH-shm. The table shows
 * processes of this pid namespace only. A new reference; NULL without memory. */
json_t *holders_of(const char *database_path);
#endif
