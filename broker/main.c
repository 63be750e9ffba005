/*
 * main.c - stigstore-broker: arguments, start, exit code.
 */
#include "actor/actor.h"
#include "broker/broker.h"
#include "proto/limits.h"

#include <argp.h>
#include <stdlib.h>

enum { OPTION_ENDPOINT = 256, OPTION_LISTEN, OPTION_KEYS, OPTION_DATA, OPTION_SUPERVISED, OPTION_READY };

struct arguments {
    struct broker_options broker;
    long supervisor_pid;
};

static const struct argp_option options[] = {
    {"endpoint", OPTION_ENDPOINT, "ipc://PATH", 0, "where clients connect; workers connect to PATH.workers", 0},
    {"listen", OPTION_LISTEN, "tcp://HOST:PORT", 0, "where clients of other hosts connect, with keys only", 0},
    {"keys", OPTION_KEYS, "DIR", 0, "the server's key and those of clients, for --listen", 0},
    {"max-data-bytes", OPTION_DATA, "N", 0, "largest value, as the writer was told (default 4194304)", 0},
    {"supervised", OPTION_SUPERVISED, "PID", 0, "end when the process PID, which started this one, ends", 0},
    {"ready-fd", OPTION_READY, "N", 0, "say READY on this descriptor when it serves", 0},
    {0},
};

static uint64_t number(const char *text, uint64_t least, uint64_t most, struct argp_state *state)
{
    uint64_t value = 0;
    if (!actor_parse_number(text, least, most, &value))
        argp_error(state, "not a number, or out of range: %s", text);
    return value;
}

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_ENDPOINT:
        arguments->broker.endpoint = value;
        return 0;
    case OPTION_LISTEN:
        arguments->broker.listen = value;
        return 0;
    case OPTION_KEYS:
        arguments->broker.keys = value;
        return 0;
    case OPTION_DATA:
        arguments->broker.max_data_bytes = number(value, 1, LIMIT_DATA_BYTES_MOST, state);
        return 0;
    case OPTION_SUPERVISED:
        arguments->supervisor_pid = (long)number(value, 1, INT32_MAX, state);
        return 0;
    case OPTION_READY:
        arguments->broker.ready_fd = (int)number(value, 0, INT32_MAX, state);
        return 0;
    case ARGP_KEY_END:
        if (!arguments->broker.endpoint)
            argp_error(state, "--endpoint is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int exit_code_of(int status)
{
    return status == STATUS_IO_ERROR || status == STATUS_NO_MEMORY ? ACTOR_EXIT_FAILED : ACTOR_EXIT_REFUSED;
}

int main(int count, char **values)
{
    struct arguments arguments = {.broker = {.ready_fd = -1}};
    const struct argp argp = {
        .options = options,
        .parser = take_option,
        .doc = "Routes requests of stigstore clients to the writer and the readers of one store.",
    };
    argp_err_exit_status = ACTOR_EXIT_USAGE;
    argp_parse(&argp, count, values, 0, NULL, &arguments);
    arguments.broker.signal_fd = actor_start("stigstore-broker", arguments.supervisor_pid);

    struct broker *broker;
    struct failure failure;
    int status = broker_new(&arguments.broker, &broker, &failure);
    if (status != STATUS_OK) {
        actor_log(LOG_LEVEL_ERROR, "%s", failure.message);
        return exit_code_of(status);
    }
    broker_run(broker);
    broker_free(&broker);
    return ACTOR_EXIT_OK;
}
