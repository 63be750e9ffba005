/*
 * keys.c - the verbs on who may come in over tcp: keygen, authorize, revoke.
 */
#include "cli/cli.h"
#include "cli/key_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { KEY_KEYS = 0x400, KEY_ROLE, KEY_NAME };

struct input {
    const char *file, *keys, *role, *name;
};

/* Of every verb here. */
#define KEYS_OPTION                                                                                 \
    {                                                                                               \
        "keys", KEY_KEYS, "DIR", 0, "the folder that `serve --keys` names; else $STIGSTORE_KEYS", 0 \
    }

static bool is_role(const char *name)
{
    return strcmp(name, "reader") == 0 || strcmp(name, "writer") == 0 || strcmp(name, "admin") == 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case KEY_KEYS:
        input->keys = argument;
        return 0;
    case KEY_ROLE:
        if (!is_role(argument))
            argp_error(state, "--role takes reader, writer or admin, not '%s'", argument);
        input->role = argument;
        return 0;
    case KEY_NAME:
        if (!key_name_is_good(argument))
            argp_error(state, "--name takes a file's name that begins with no dot, not '%s'", argument);
        input->name = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (input->file)
            argp_error(state, "too many arguments: '%s'", argument);
        input->file = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Like argp_error, for what only the whole line tells. */
static int usage(const char *verb, const char *what)
{
    cli_error("%s; `stigstore %s --help` says more", what, verb);
    return CLI_USAGE;
}

static const char *folder_of(const struct input *input)
{
    const char *folder = input->keys ? input->keys : getenv("STIGSTORE_KEYS");
    return folder && *folder ? folder : NULL;
}

static const char no_folder[] = "which folder of keys? name it with --keys or $STIGSTORE_KEYS";

static int report(const struct failure *failure)
{
    if (failure->status == STATUS_CONFLICT) { /* with a file: there is no revision to read */
        cli_error("CONFLICT: %s", failure->message);
        return CLI_CONFLICT;
    }
    return cli_report_status(CLI_READS, failure->status, 0, failure->message);
}

/* ---- keygen ---- */

/* The folder and the name of a file to be made. */
static int open_parent(const char *file, const char **name, int *fd, struct failure *failure)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    *name = slash ? slash + 1 : file;
    if (!**name || strlen(file) >= sizeof(folder))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "'%s' names no file", file);
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file + 1) : 1, slash ? file : ".");
    *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot open %s: %s", folder, strerror(errno));
    return STATUS_OK;
}

/* The pair, and beside it the public key alone, which is what others get. */
static int write_pair(const char *file, const struct key_file *pair, struct failure *failure)
{
    const char *name;
    char public_name[NAME_MAX + 1];
    struct key_file public = *pair;
    int fd = -1, status = open_parent(file, &name, &fd, failure);
    explicit_bzero(public.secret_key, sizeof(public.secret_key));
    if (status == STATUS_OK &&
        (size_t)snprintf(public_name, sizeof(public_name), "%s.pub", name) >= sizeof(public_name))
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "the file's name is too long");
    if (status == STATUS_OK)
        status = key_file_write(fd, name, pair, 0600, false, failure);
    if (status == STATUS_OK)
        status = key_file_write(fd, public_name, &public, 0644, true, failure);
    if (fd >= 0)
        close(fd);
    return status;
}

int cli_keygen(int argc, char **argv)
{
    static const struct argp_option options[] = {KEYS_OPTION, {NULL, 0, NULL, 0, NULL, 0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[FILE]",
        .doc = "Makes a pair of keys and prints the public one. With FILE, a client's: the pair goes there, for "
               "--key-file, and the public key to FILE.pub, for `stigstore authorize`. Without, the server's: the pair "
               "goes to DIR/server.key, and the public key is what clients give as --server-key. A pair that is there "
               "is left alone."};
    struct input input = {0};
    struct key_file pair = {.role = NULL};
    struct failure failure = {0};
    cli_parse_plain(&argp, argc, argv, &input);
    if (input.file && input.keys)
        return usage("keygen", "FILE is for a client's pair, --keys for the server's");
    if (!input.file && !folder_of(&input))
        return usage("keygen", "FILE or --keys is missing");
    if (zmq_curve_keypair(pair.public_key, pair.secret_key) != 0) {
        cli_error("cannot make keys: %s", zmq_strerror(errno));
        return CLI_FAILED;
    }
    failure.status =
        input.file ? write_pair(input.file, &pair, &failure) : key_folder_make(folder_of(&input), &pair, &failure);
    explicit_bzero(pair.secret_key, sizeof(pair.secret_key));
    int code = report(&failure);
    if (code == CLI_OK)
        printf("%s\n", pair.public_key);
    return cli_finish(code);
}

/* ---- authorize ---- */

/* The file's name without what it ends with: "alice" for path/alice.key.pub. */
static bool name_of_file(const char *path, char out[KEY_NAME_BYTES + 1])
{
    static const char *const ends[] = {".pub", ".key"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        size_t tail = strlen(ends[i]);
        if (length > tail && memcmp(name + length - tail, ends[i], tail) == 0)
            length -= tail;
    }
    if (length > KEY_NAME_BYTES)
        return false;
    memcpy(out, name, length);
    out[length] = '\0';
    return key_name_is_good(out);
}

static int let_in(const struct input *input, const char *name)
{
    struct key_file key = {.role = input->role};
    struct key_folder folder;
    struct failure failure = {0};
    failure.status = key_file_read(AT_FDCWD, input->file, key.public_key, &failure);
    if (failure.status == STATUS_OK)
        failure.status = key_folder_open(folder_of(input), &folder, &failure);
    if (failure.status == STATUS_OK) {
        failure.status = key_folder_put(&folder, name, &key, &failure);
        key_folder_close(&folder);
    }
    int code = report(&failure);
    if (code == CLI_OK)
        printf("%s\t%s\n", name, input->role);
    return cli_finish(code);
}

int cli_authorize(int argc, char **argv)
{
    static const struct argp_option options[] = {
        KEYS_OPTION,
        {"role", KEY_ROLE, "ROLE", 0, "reader, writer (also writes) or admin (also sets times, as import does)", 0},
        {"name", KEY_NAME, "NAME", 0, "the client's name; else that of the file, without .key and .pub", 0},
        {NULL, 0, NULL, 0, NULL, 0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "KEYFILE --role ROLE",
        .doc = "Lets in whoever has the secret to the public key in KEYFILE, with that role; a key that is let in "
               "already gets the new role. Prints name and role. It counts at once, without a restart."};
    struct input input = {0};
    char name[KEY_NAME_BYTES + 1];
    cli_parse_plain(&argp, argc, argv, &input);
    if (!input.file)
        return usage("authorize", "KEYFILE is missing");
    if (!input.role)
        return usage("authorize", "--role is missing");
    if (!folder_of(&input))
        return usage("authorize", no_folder);
    if (!input.name && !name_of_file(input.file, name))
        return usage("authorize", "the file's name cannot be a client's: give a --name");
    return let_in(&input, input.name ? input.name : name);
}

/* ---- revoke ---- */

static void print_name(const char *name)
{
    printf("%s\n", name);
}

static int drop(struct key_folder *folder, const struct input *input, struct failure *failure)
{
    char public_key[KEY_FILE_CHARS + 1];
    if (input->name)
        return key_folder_drop_name(folder, input->name, print_name, failure);
    int status = key_file_read(AT_FDCWD, input->file, public_key, failure);
    return status == STATUS_OK ? key_folder_drop(folder, public_key, print_name, failure) : status;
}

static int take_back(const struct input *input)
{
    struct key_folder folder;
    struct failure failure = {0};
    failure.status = key_folder_open(folder_of(input), &folder, &failure);
    if (failure.status == STATUS_OK) {
        failure.status = drop(&folder, input, &failure);
        if (failure.status == STATUS_OK && key_folder_count(&folder) == 0)
            cli_error("no client's key is left: a service that is started now refuses to listen on tcp");
        key_folder_close(&folder);
    }
    return cli_finish(report(&failure));
}

int cli_revoke(int argc, char **argv)
{
    static const struct argp_option options[] = {
        KEYS_OPTION,
        {"name", KEY_NAME, "NAME", 0, "the client's name, as `authorize` printed it, in place of KEYFILE", 0},
        {NULL, 0, NULL, 0, NULL, 0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "KEYFILE",
        .doc =
            "Takes back what `authorize` gave: the public key in KEYFILE lets nobody in any more. Prints the names it "
            "went by. It counts at once: of a client that is connected the next message is refused."};
    struct input input = {0};
    cli_parse_plain(&argp, argc, argv, &input);
    if (!input.file == !input.name)
        return usage("revoke", "either KEYFILE or --name");
    if (!folder_of(&input))
        return usage("revoke", no_folder);
    return take_back(&input);
}
