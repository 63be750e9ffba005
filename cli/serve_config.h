/*
 * serve_config.h - the settings of `serve`: flags over environment (STIGSTORE_<OPTION>) over a file of `name = value`.
 *
 * Owns: copies of its texts.  Thread: one.
 */
#ifndef CLI_SERVE_CONFIG_H
#define CLI_SERVE_CONFIG_H
#include "proto/failure.h"

#include <stdint.h>
#include <stdio.h>

/* X(field, option name, default, argument, help): every setting once. */
#define SERVE_SETTINGS(X)                                                                                      \
    X(db, "db", "", "PATH", "the database file; default: the default store")                                   \
    X(endpoint, "endpoint", "", "URL", "where clients connect, ipc://PATH; default: by the database's path")   \
    X(listen, "listen", "", "URL", "also listen on tcp://HOST:PORT, with CURVE; needs --keys")                 \
    X(keys, "keys", "", "DIR", "folder with the server's key and the allowed clients' keys")                   \
    X(readers, "readers", "2", "N", "reader processes")                                                        \
    X(durability, "durability", "full", "full|normal", "normal survives any process's death, not a power cut") \
    X(max_data_bytes, "max-data-bytes", "4194304", "N", "the largest resource")                                \
    X(snapshot_seconds, "snapshot-seconds", "30", "N", "how long a list may hold its snapshot")

enum serve_setting {
#define SERVE_SETTING_ENUM(field, name, standard, argument, help) SERVE_##field,
    SERVE_SETTINGS(SERVE_SETTING_ENUM)
#undef SERVE_SETTING_ENUM
        SERVE_SETTING_COUNT
};

struct serve_config {
    char *values[SERVE_SETTING_COUNT]; /* as text; NULL: not set yet */
};

/* Each fills what is not set yet, so the strongest source comes first. Unknown names are INVALID_ARGUMENT. */
int serve_config_set(struct serve_config *config, enum serve_setting setting, const char *value);
int serve_config_environment(struct serve_config *config, struct failure *failure);
int serve_config_file(struct serve_config *config, const char *path, struct failure *failure);
int serve_config_defaults(struct serve_config *config);

/* A number within bounds, or INVALID_ARGUMENT naming the setting. */
int serve_config_number(const struct serve_config *config, enum serve_setting setting, uint64_t least, uint64_t most,
                        uint64_t *number, struct failure *failure);
/* As a file that --config reads. */
void serve_config_print(const struct serve_config *config, FILE *out);
void serve_config_clear(struct serve_config *config);
#endif
