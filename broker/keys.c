/*
 * keys.c - the folder of keys as a sorted table.
 */
#include "broker/keys.h"

#include "actor/actor.h"

#include <czmq.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WATCHED =
        IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
};

struct key {
    char text[KEY_TEXT_BYTES + 1];
    uint8_t bytes[PRINCIPAL_BYTES];
    uint8_t role;
};

struct keys {
    char folder[PATH_MAX - 64], clients[PATH_MAX - 32];
    char secret[KEY_TEXT_BYTES + 1];
    int watch_fd;
    bool watched; /* both folders are */
    struct key *table;
    size_t count, room;
};

/* ---- one file ---- */

static bool is_key(const char *text)
{
    uint8_t bytes[PRINCIPAL_BYTES];
    return text && strlen(text) == KEY_TEXT_BYTES && zmq_z85_decode(bytes, text) != NULL;
}

/* What somebody else can change says nothing about who may come in. */
static int check_unshared(const char *path, struct failure *failure)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "cannot look at %s: %s", path, strerror(errno));
    if ((info.st_uid != geteuid() && info.st_uid != 0) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return failure_set(failure, STATUS_PERMISSION_DENIED, "others may write to %s", path);
    return STATUS_OK;
}

/* A secret that others can read or replace is none. */
static int check_private(const char *path, struct failure *failure)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "no server key at %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0)
        return failure_set(failure, STATUS_PERMISSION_DENIED, "%s must be a file of ours with mode 0600", path);
    return STATUS_OK;
}

static int load_secret(struct keys *keys, struct failure *failure)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/server.key", keys->folder);
    int status = check_private(path, failure);
    if (status != STATUS_OK)
        return status;
    zconfig_t *config = zconfig_load(path);
    const char *secret = config ? zconfig_get(config, "curve/secret-key", "") : "";
    if (is_key(secret))
        memcpy(keys->secret, secret, sizeof keys->secret);
    else
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "%s has no curve/secret-key of 40 characters", path);
    zconfig_destroy(&config);
    return status;
}

static uint8_t role_of(const char *name)
{
    static const char *const names[] = {[ROLE_READER] = "reader", [ROLE_WRITER] = "writer", [ROLE_ADMIN] = "admin"};
    for (int role = ROLE_READER; role <= ROLE_ADMIN; role++)
        if (strcmp(name, names[role]) == 0)
            return (uint8_t)role;
    return ROLE_NONE;
}

static struct key *new_key(struct keys *keys)
{
    if (keys->count == keys->room) {
        size_t room = keys->room ? 2 * keys->room : 16;
        struct key *table = realloc(keys->table, room * sizeof *table);
        if (!table)
            return NULL;
        keys->table = table;
        keys->room = room;
    }
    return &keys->table[keys->count++];
}

static void load_client(struct keys *keys, const char *path)
{
    struct failure failure;
    if (check_unshared(path, &failure) != STATUS_OK) {
        actor_log(LOG_LEVEL_WARNING, "nobody comes in by it: %s", failure.message);
        return;
    }
    zconfig_t *config = zconfig_load(path);
    const char *text = config ? zconfig_get(config, "curve/public-key", "") : "";
    uint8_t role = config ? role_of(zconfig_get(config, "metadata/role", "")) : ROLE_NONE;
    if (!is_key(text) || role == ROLE_NONE) {
        actor_log(LOG_LEVEL_WARNING,
                  "%s is no client's key: it needs curve/public-key and metadata/role "
                  "(reader, writer or admin)",
                  path);
    } else {
        struct key *key = new_key(keys);
        if (key) {
            memcpy(key->text, text, sizeof key->text);
            zmq_z85_decode(key->bytes, text);
            key->role = role;
        }
    }
    zconfig_destroy(&config);
}

/* ---- the folder ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    return memcmp(left->text, right->text, KEY_TEXT_BYTES);
}

static bool is_key_file(const char *name)
{
    size_t length = strlen(name);
    return name[0] != '.' && length > 4 && strcmp(name + length - 4, ".key") == 0;
}

/* A key in two files has the lesser of its roles. */
static void drop_doubles(struct keys *keys)
{
    size_t kept = 0;
    for (size_t i = 0; i < keys->count; i++) {
        struct key *before = kept > 0 ? &keys->table[kept - 1] : NULL;
        if (!before || compare_keys(before, &keys->table[i]) != 0)
            keys->table[kept++] = keys->table[i];
        else if (keys->table[i].role < before->role)
            before->role = keys->table[i].role;
    }
    keys->count = kept;
}

static int check_folders(const struct keys *keys, struct failure *failure)
{
    int status = check_unshared(keys->folder, failure);
    return status == STATUS_OK ? check_unshared(keys->clients, failure) : status;
}

static void load_clients(struct keys *keys)
{
    char path[PATH_MAX + NAME_MAX];
    struct failure failure;
    keys->count = 0;
    if (check_folders(keys, &failure) != STATUS_OK) {
        actor_log(LOG_LEVEL_WARNING, "nobody may connect from another host: %s", failure.message);
        return;
    }
    DIR *folder = opendir(keys->clients);
    if (!folder) {
        actor_log(LOG_LEVEL_WARNING, "cannot read %s: nobody may connect from another host", keys->clients);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (is_key_file(entry->d_name)) {
            snprintf(path, sizeof path, "%s/%s", keys->clients, entry->d_name);
            load_client(keys, path);
        }
    }
    closedir(folder);
    if (keys->count > 0)
        qsort(keys->table, keys->count, sizeof *keys->table, compare_keys);
    drop_doubles(keys);
}

/* Adding a watch that is there already changes nothing; one on a new folder of the same name replaces the lost one. */
static void watch(struct keys *keys)
{
    bool folder = inotify_add_watch(keys->watch_fd, keys->folder, WATCHED | IN_ONLYDIR) >= 0;
    bool clients = inotify_add_watch(keys->watch_fd, keys->clients, WATCHED | IN_ONLYDIR) >= 0;
    keys->watched = folder && clients;
}

static bool drain_events(int fd)
{
    char events[4096];
    bool any = false;
    while (read(fd, events, sizeof events) > 0)
        any = true;
    return any;
}

static void reload(struct keys *keys)
{
    watch(keys); /* before reading, so that nothing is missed between the two */
    load_clients(keys);
}

void keys_take_changes(struct keys *keys)
{
    if (drain_events(keys->watch_fd))
        reload(keys);
}

size_t keys_refresh(struct keys *keys)
{
    bool changed = drain_events(keys->watch_fd);
    if (changed || !keys->watched)
        reload(keys);
    return keys->count;
}

int keys_new(const char *folder, struct keys **out, struct failure *failure)
{
    *out = NULL;
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys || strlen(folder) >= sizeof keys->folder) {
        free(keys);
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "cannot use the folder of keys %s", folder);
    }
    snprintf(keys->folder, sizeof keys->folder, "%s", folder);
    snprintf(keys->clients, sizeof keys->clients, "%s/clients", folder);
    keys->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int status = keys->watch_fd < 0
                     ? failure_set(failure, STATUS_IO_ERROR, "cannot watch %s: %s", folder, strerror(errno))
                     : load_secret(keys, failure);
    if (status == STATUS_OK)
        status = check_folders(keys, failure);
    if (status == STATUS_OK && keys_refresh(keys) == 0)
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "there is no client's key in %s", keys->clients);
    if (status != STATUS_OK)
        keys_free(&keys);
    *out = keys;
    return status;
}

void keys_free(struct keys **pointer)
{
    struct keys *keys = *pointer;
    if (!keys)
        return;
    if (keys->watch_fd >= 0)
        close(keys->watch_fd);
    explicit_bzero(keys->secret, sizeof keys->secret);
    free(keys->table);
    free(keys);
    *pointer = NULL;
}

const char *keys_secret(const struct keys *keys)
{
    return keys->secret;
}

int keys_fd(const struct keys *keys)
{
    return keys->watch_fd;
}

uint8_t keys_role(const struct keys *keys, const char *text, uint8_t principal[PRINCIPAL_BYTES])
{
    struct key wanted = {0};
    if (!text || strlen(text) != KEY_TEXT_BYTES || keys->count == 0)
        return ROLE_NONE;
    memcpy(wanted.text, text, KEY_TEXT_BYTES);
    const struct key *key = bsearch(&wanted, keys->table, keys->count, sizeof wanted, compare_keys);
    if (!key)
        return ROLE_NONE;
    memcpy(principal, key->bytes, PRINCIPAL_BYTES);
    return key->role;
}
