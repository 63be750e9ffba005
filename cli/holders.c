/*
 * holders.c - read marks on a database's shared memory, as /proc/locks shows them.
 */
#include "cli/holders.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Bytes of the -shm file that SQLite locks: a reader holds one of its five read marks (walformat, "WAL Locks"). */
enum { FIRST_READ_MARK = 123, LAST_READ_MARK = 127 };

static json_t *describe(long pid)
{
    char path[64], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    FILE *file = fopen(path, "re");
    if (file && fgets(name, sizeof(name), file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        (void)fclose(file);
    return json_pack("{s:I,s:s}", "pid", (json_int_t)pid, "program", name);
}

static bool is_listed(const json_t *holders, long pid)
{
    size_t index = 0;
    json_t *holder = NULL;
    json_array_foreach(holders, index, holder)
    {
        if (json_integer_value(json_object_get(holder, "pid")) == pid)
            return true;
    }
    return false;
}

/* "4: POSIX  ADVISORY  READ 21972 fe:00:10150467 124 124" */
static bool parse_read_mark(const char *line, const struct stat *shm, long *pid)
{
    unsigned major_number = 0, minor_number = 0;
    uint64_t inode = 0, first = 0;
    int fields = sscanf(line, "%*d: POSIX %*s READ %ld %x:%x:%" SCNu64 " %" SCNu64, pid, &major_number, &minor_number,
                        &inode, &first);
    return fields == 5 && inode == shm->st_ino && makedev(major_number, minor_number) == shm->st_dev &&
           first >= FIRST_READ_MARK && first <= LAST_READ_MARK;
}

json_t *holders_of(const char *database_path)
{
    json_t *holders = json_array();
    char path[PATH_MAX + sizeof "-shm"], line[256];
    struct stat shm;
    snprintf(path, sizeof(path), "%s-shm", database_path);
    FILE *locks = stat(path, &shm) == 0 ? fopen("/proc/locks", "re") : NULL;
    long pid = 0;
    while (holders && locks && fgets(line, sizeof(line), locks))
        if (parse_read_mark(line, &shm, &pid) && !is_listed(holders, pid))
            json_array_append_new(holders, describe(pid));
    if (locks)
        (void)fclose(locks);
    return holders;
}
