/*
 * serve_config.c - settings of `serve` from flags, environment and file, judged in one place.
 */
#include "cli/serve_config.h"

#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *standard;
} settings[SERVE_SETTING_COUNT] = {
#define SERVE_SETTING_ROW(field, name, standard, argument, help) {name, standard},
    SERVE_SETTINGS(SERVE_SETTING_ROW)
#undef SERVE_SETTING_ROW
};

const char *serve_setting_name(enum serve_setting setting)
{
    return settings[setting].name;
}

int serve_config_set(struct serve_config *config, enum serve_setting setting, const char *value)
{
    if (!config->values[setting]) {
        config->values[setting] = strdup(value);
    }
    return config->values[setting] ? STATUS_OK : STATUS_NO_MEMORY;
}

static void environment_name(const char *option, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "STIGSTORE_%s", option);
    for (char *at = out; *at; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
}

int serve_config_environment(struct serve_config *config, struct failure *failure)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        char name[64];
        environment_name(settings[setting].name, name, sizeof(name));
        const char *value = getenv(name);
        if (value && serve_config_set(config, (enum serve_setting)setting, value) != STATUS_OK) {
            return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
        }
    }
    return STATUS_OK;
}

struct file_reading {
    struct serve_config *config;
    struct serve_config of_file; /* so that the last of two equal names counts, as with flags */
    const char *path;
    struct failure *failure;
};

/* For ini_parse: 1 goes on, 0 ends with an error at this line. */
static int take_line(void *context, const char *section, const char *name, const char *value)
{
    struct file_reading *reading = context;
    if (*section) {
        failure_set(reading->failure, STATUS_INVALID_ARGUMENT,
                    "%s: a section [%s]; only lines of name = value are known", reading->path, section);
        return 0;
    }
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        if (strcmp(settings[setting].name, name) == 0) {
            free(reading->of_file.values[setting]);
            reading->of_file.values[setting] = strdup(value);
            return reading->of_file.values[setting] != NULL;
        }
    }
    failure_set(reading->failure, STATUS_INVALID_ARGUMENT,
                "%s: no setting '%s'; `stigstore serve --print-config` shows them", reading->path, name);
    return 0;
}

int serve_config_file(struct serve_config *config, const char *path, struct failure *failure)
{
    struct failure inner = {0};
    struct file_reading reading = {.config = config, .path = path, .failure = &inner};
    errno = 0;
    int line = ini_parse(path, take_line, &reading);
    int status = STATUS_OK;
    if (line < 0) {
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "cannot read %s: %s", path, strerror(errno));
    } else if (inner.status) {
        status = failure_set(failure, inner.status, "%s", inner.message);
    } else if (line > 0) {
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "%s: line %d is not name = value", path, line);
    }
    for (int setting = 0; status == STATUS_OK && setting < SERVE_SETTING_COUNT; setting++) {
        if (reading.of_file.values[setting]) {
            status = serve_config_set(config, (enum serve_setting)setting, reading.of_file.values[setting]);
        }
    }
    serve_config_clear(&reading.of_file);
    return status;
}

int serve_config_defaults(struct serve_config *config)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        if (serve_config_set(config, (enum serve_setting)setting, settings[setting].standard) != STATUS_OK) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

int serve_config_number(const struct serve_config *config, enum serve_setting setting, uint64_t least, uint64_t most,
                        uint64_t *number, struct failure *failure)
{
    const char *value = config->values[setting];
    if (!cli_number(value, most, number) || *number < least) {
        return failure_set(failure, STATUS_INVALID_ARGUMENT,
                           "%s takes a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", settings[setting].name,
                           least, most, value);
    }
    return STATUS_OK;
}

void serve_config_print(const struct serve_config *config, FILE *out)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        const char *value = config->values[setting];
        /* An empty value would read back as one; a comment shows the name and keeps the default. */
        fprintf(out, "%s%s = %s\n", *value ? "" : "; ", settings[setting].name, value);
    }
}

void serve_config_clear(struct serve_config *config)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        free(config->values[setting]);
        config->values[setting] = NULL;
    }
}
