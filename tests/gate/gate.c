/*
 * gate.c - a service with a port and keys.
 */
#include "tests/gate/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPEN_MS = 20000, PATHS = 8 };

/* A port that the system chose. The socket never listens, so the broker's can have the same port, and nobody who asks
 * for any port gets this one. */
static void choose_port(struct gate *gate)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int on = 1;
    gate->port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(gate->port_fd >= 0);
    assert_int_equal(setsockopt(gate->port_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(gate->port_fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(gate->port_fd, (struct sockaddr *)&address, &size), 0);
    snprintf(gate->url, sizeof(gate->url), "tcp://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

void gate_run(int code, const char *const *words)
{
    struct output output = scene_run(code, words, NULL, 0);
    output_free(&output);
}

const char *gate_key_file(const struct gate *gate, const char *name)
{
    static _Thread_local char paths[PATHS][256];
    static _Thread_local unsigned next;
    char *path = paths[next++ % PATHS];
    snprintf(path, sizeof(paths[0]), "%s/%s.key", gate->folder, name);
    return path;
}

void gate_keygen(const struct gate *gate, const char *name)
{
    GATE_RUN(0, "keygen", gate_key_file(gate, name));
}

void gate_authorize(const struct gate *gate, const char *name, const char *role)
{
    GATE_RUN(0, "authorize", gate_key_file(gate, name), "--role", role, "--keys", gate->keys);
}

void gate_revoke(const struct gate *gate, const char *name)
{
    GATE_RUN(0, "revoke", gate_key_file(gate, name), "--keys", gate->keys);
}

void gate_key(const struct gate *gate, const char *name, const char *what, char out[GATE_KEY_CHARS + 1])
{
    char line[256];
    size_t length = 0;
    FILE *file = fopen(gate_key_file(gate, name), "re");
    assert_non_null(file);
    while (length == 0 && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, what), *quote = at ? strchr(at, '"') : NULL;
        length = quote ? strcspn(quote + 1, "\"") : 0;
        if (length == GATE_KEY_CHARS)
            memcpy(out, quote + 1, length);
    }
    fclose(file);
    assert_int_equal(length, GATE_KEY_CHARS);
    out[length] = '\0';
}

void gate_prepare(struct gate *gate)
{
    *gate = (struct gate){.folder = folder_new()};
    gate->keys = folder_path(gate->folder, "keys");
    choose_port(gate);
    struct output made = scene_run(0, (const char *const[]){"keygen", "--keys", gate->keys, NULL}, NULL, 0);
    assert_int_equal(made.size, GATE_KEY_CHARS + 1);
    memcpy(gate->server_key, made.text, GATE_KEY_CHARS);
    output_free(&made);
    gate_keygen(gate, "owner");
    gate_authorize(gate, "owner", "admin");
}

void gate_start(struct gate *gate)
{
    const char *const more[] = {"--listen", gate->url, "--keys", gate->keys, NULL};
    gate->service = service_start(gate->folder, more);
}

void gate_open(struct gate *gate)
{
    gate_prepare(gate);
    gate_start(gate);
}

void gate_free(struct gate *gate)
{
    if (gate->service.folder)
        service_free(&gate->service);
    close(gate->port_fd);
    free(gate->keys);
    folder_remove(&gate->folder);
}

static int open_store(const char *url, const char *server_key, const char *key_file, uint32_t timeout_ms,
                      stigstore **store)
{
    const stigstore_options options = {.struct_size = sizeof(options),
                                       .timeout_ms = timeout_ms,
                                       .open_timeout_ms = timeout_ms,
                                       .server_key = server_key,
                                       .key_file = key_file};
    stigstore_result *result = NULL;
    int status = stigstore_open(url, &options, store, &result);
    stigstore_result_free(&result);
    return status;
}

int gate_enter(const struct gate *gate, const char *name, uint32_t timeout_ms, stigstore **store)
{
    return open_store(gate->url, name ? gate->server_key : NULL, name ? gate_key_file(gate, name) : NULL, timeout_ms,
                      store);
}

stigstore *gate_entered(const struct gate *gate, const char *name)
{
    stigstore *store = NULL;
    assert_status(OK, gate_enter(gate, name, OPEN_MS, &store));
    return store;
}

stigstore *gate_entered_here(const struct gate *gate)
{
    stigstore *store = NULL;
    assert_status(OK, open_store(gate->service.endpoint, NULL, NULL, OPEN_MS, &store));
    return store;
}

long gate_number(const struct gate *gate, const char *name)
{
    char key[64];
    stigstore *store = gate_entered_here(gate);
    char *json = NULL;
    assert_status(OK, stigstore_status_json(store, &json));
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(json, key);
    long number = at ? strtol(at + strlen(key), NULL, 10) : -1;
    free(json);
    stigstore_free(&store);
    return number;
}
