/*
 * serve_config.c - settings of `serve` from flags, environment and file, judged in one place.
 */
#include "cli/serve_config.h"

#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
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

int serve_config_set(struct serve_config *config, enum serve_setting setting, const char *value)
{
    if (!config->values[setting])
        config->values[setting] = strdup(value);
    return config->values[setting] ? STATUS_OK : STATUS_NO_MEMORY;
}

static void environment_name(const char *option, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "STIGSTORE_%s", option);
    for (char *at = out; *at; at++)
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
}

int serve_config_environment(struct serve_config *config, struct failure *failure)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        char name[64];
        environment_name(settings[setting].name, name, sizeof(name));
        const char *value = getenv(name);
        if (value && serve_config_set(config, (enum serve_setting)setting, value) != STATUS_OK)
            return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* Without the white space around it. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

/* The last of two equal names counts, as with flags. */
static int take_setting(struct serve_config *of_file, const char *name, const char *value, struct failure *failure)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++) {
        if (strcmp(settings[setting].name, name) == 0) {
            free(of_file->values[setting]);
            of_file->values[setting] = NULL;
            return serve_config_set(of_file, (enum serve_setting)setting, value);
        }
    }
    return failure_set(failure, STATUS_INVALID_ARGUMENT, "no setting '%s'; `stigstore serve --print-config` shows them",
                       name);
}

/* "name = value", a comment that begins with # or ;, or nothing. */
static int take_line(struct serve_config *of_file, char *line, struct failure *failure)
{
    char *text = trim(line), *equals = strchr(text, '=');
    if (*text == '\0' || *text == '#' || *text == ';')
        return STATUS_OK;
    if (!equals)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "not name = value");
    *equals = '\0';
    return take_setting(of_file, trim(text), trim(equals + 1), failure);
}

static int read_lines(struct serve_config *of_file, FILE *in, const char *path, struct failure *failure)
{
    char *line = NULL;
    size_t room = 0;
    unsigned number = 0;
    struct failure inner = {0};
    int status = STATUS_OK;
    errno = 0;
    while (status == STATUS_OK && getline(&line, &room, in) >= 0) {
        number++;
        status = take_line(of_file, line, &inner);
    }
    if (status != STATUS_OK)
        failure_set(failure, status, "%s, line %u: %s", path, number, inner.status ? inner.message : "out of memory");
    else if (!feof(in))
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "cannot read %s: %s", path, strerror(errno));
    free(line);
    return status;
}

int serve_config_file(struct serve_config *config, const char *path, struct failure *failure)
{
    struct serve_config of_file = {{NULL}};
    FILE *in = fopen(path, "re");
    if (!in)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "cannot read %s: %s", path, strerror(errno));
    int status = read_lines(&of_file, in, path, failure);
    for (int setting = 0; status == STATUS_OK && setting < SERVE_SETTING_COUNT; setting++)
        if (of_file.values[setting])
            status = serve_config_set(config, (enum serve_setting)setting, of_file.values[setting]);
    serve_config_clear(&of_file);
    (void)fclose(in);
    return status;
}

int serve_config_defaults(struct serve_config *config)
{
    for (int setting = 0; setting < SERVE_SETTING_COUNT; setting++)
        if (serve_config_set(config, (enum serve_setting)setting, settings[setting].standard) != STATUS_OK)
            return STATUS_NO_MEMORY;
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
