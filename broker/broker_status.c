/*
 * broker_status.c - what the broker says of itself: the JSON of CONTROL STATUS, and its health files.
 */
#include "broker/admission.h"
#include "broker/broker_state.h"
#include "proto/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

/* ---- one list of numbers for both ---- */

struct number {
    const char *name;
    double value;
};
enum { NUMBERS_MOST = 48 };

static size_t list_counters(const struct route_counters *counters, uint64_t strays, struct number *out)
{
    const struct number all[] = {
        {"received", (double)counters->received},
        {"forwarded", (double)counters->forwarded},
        {"replied", (double)counters->replied},
        {"redispatched", (double)counters->redispatched},
        {"malformed", (double)counters->malformed},
        {"overloaded", (double)counters->overloaded},
        {"uncredited", (double)counters->uncredited},
        {"expired", (double)counters->expired},
        {"unavailable", (double)counters->unavailable},
        {"cancelled", (double)counters->cancelled},
        {"internal", (double)counters->internal},
        {"refused", (double)counters->refused},
        {"dropped_late", (double)counters->dropped_late},
        {"dropped_gone", (double)counters->dropped_gone},
        {"dropped_stray", (double)strays},
        {"clients_cut", (double)counters->cut_clients},
        {"connections_refused", (double)admission_refused()},
        {"connections_displaced", (double)admission_displaced()},
        {"worker_deaths", (double)counters->worker_deaths},
        {"hellos", (double)counters->hellos},
    };
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static size_t list_gauges(const struct route_view *view, struct number *out)
{
    const struct number all[] = {
        {"clients", view->clients},
        {"workers", view->workers},
        {"in_flight", view->tickets},
        {"queued_reads", view->queued[LANE_READ]},
        {"queued_writes", view->queued[LANE_WRITE]},
        {"request_bytes", (double)view->request_bytes},
        {"granted_bytes", (double)view->granted_bytes},
        {"reply_bytes", (double)view->reply_bytes},
        {"reserved_bytes", (double)view->reserved_bytes},
    };
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static size_t list_latencies(const struct route_view *view, struct number *out)
{
    const struct histogram *reads = &view->latency[LANE_READ], *writes = &view->latency[LANE_WRITE];
    const struct number all[] = {
        {"read_p50_us", (double)histogram_quantile(reads, 0.5) / 1000},
        {"read_p99_us", (double)histogram_quantile(reads, 0.99) / 1000},
        {"write_p50_us", (double)histogram_quantile(writes, 0.5) / 1000},
        {"write_p99_us", (double)histogram_quantile(writes, 0.99) / 1000},
    };
    memcpy(out, all, sizeof all);
    return sizeof all / sizeof all[0];
}

/* ---- JSON ---- */

static json_t *json_of_numbers(const struct number *numbers, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        bool whole = numbers[i].value == (double)(json_int_t)numbers[i].value;
        json_object_set_new(object, numbers[i].name,
                            whole ? json_integer((json_int_t)numbers[i].value) : json_real(numbers[i].value));
    }
    return object;
}

static json_t *json_of_life(uint64_t life)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, life);
    return json_string(text);
}

/* What a worker says of itself is shown if it is one JSON object; else null. */
static json_t *json_of_worker(const struct route_worker_view *view, int64_t now_ns)
{
    json_t *worker = json_object();
    json_t *status = json_loadb(view->status.data, view->status.size, JSON_REJECT_DUPLICATES, NULL);
    const char *role = view->role == ROLE_WRITER ? "writer" : view->role == ROLE_READER ? "reader" : "unknown";
    json_object_set_new(worker, "role", json_string(role));
    json_object_set_new(worker, "state", json_string(view->state));
    json_object_set_new(worker, "pid", json_integer(view->pid));
    json_object_set_new(worker, "life", json_of_life(view->life));
    json_object_set_new(worker, "epoch", json_integer((json_int_t)view->epoch));
    json_object_set_new(worker, "outstanding_requests", json_integer(view->outstanding));
    json_object_set_new(worker, "outstanding_messages", json_integer(view->messages));
    json_object_set_new(worker, "outstanding_bytes", json_integer((json_int_t)view->outstanding_bytes));
    json_object_set_new(worker, "streams", json_integer(view->streams));
    json_object_set_new(worker, "heard_ms_ago", json_integer((now_ns - view->heard_ns) / NS_PER_MS));
    json_object_set_new(worker, "status", status ? status : json_null());
    return worker;
}

static json_t *json_of_workers(const struct broker *broker)
{
    int64_t now_ns = clock_boot_ns();
    json_t *workers = json_array();
    for (uint32_t i = 0; i < broker->limits.workers; i++) {
        struct route_worker_view view;
        if (route_view_worker(broker->route, i, now_ns, &view))
            json_array_append_new(workers, json_of_worker(&view, now_ns));
    }
    return workers;
}

static const char *state_name(const struct route_view *view)
{
    return view->draining ? "draining" : "ready";
}

static json_t *json_of_broker(const struct broker *broker, const struct route_view *view)
{
    struct number numbers[NUMBERS_MOST];
    json_t *object = json_object();
    json_object_set_new(object, "pid", json_integer(getpid()));
    json_object_set_new(object, "life", json_of_life(broker->life));
    json_object_set_new(object, "state", json_string(state_name(view)));
    json_object_set_new(object, "listen", json_string(broker->listening));
    json_object_set_new(object, "keys_admitted", json_integer((json_int_t)broker->remote.admitted));
    json_object_set_new(object, "keys_refused", json_integer((json_int_t)broker->remote.refused));
    json_object_set_new(object, "uptime_ms", json_integer((clock_boot_ns() - broker->started_ns) / NS_PER_MS));
    json_object_set_new(object, "load", json_of_numbers(numbers, list_gauges(view, numbers)));
    json_object_set_new(object, "latency", json_of_numbers(numbers, list_latencies(view, numbers)));
    json_object_set_new(object, "counters",
                        json_of_numbers(numbers, list_counters(&view->counters, broker->strays, numbers)));
    return object;
}

char *broker_status_json(struct broker *broker)
{
    struct route_view view;
    struct hello hello;
    route_view(broker->route, &view);
    route_hello(broker->route, &hello);
    json_t *object = json_object();
    json_object_set_new(object, "revision", json_integer((json_int_t)hello.revision));
    json_object_set_new(object, "epoch", json_integer((json_int_t)hello.writer_epoch));
    json_object_set_new(object, "path", json_stringn(hello.path.data, hello.path.size));
    json_object_set_new(object, "broker", json_of_broker(broker, &view));
    json_object_set_new(object, "workers", json_of_workers(broker));
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

/* ---- health ---- */

static void report(struct health *health, const struct number *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        health_number(health, numbers[i].name, numbers[i].value);
}

void broker_report_health(struct broker *broker)
{
    struct number numbers[NUMBERS_MOST];
    struct route_view view;
    struct hello hello;
    route_view(broker->route, &view);
    route_hello(broker->route, &hello);
    health_begin(broker->health, state_name(&view));
    health_number(broker->health, "epoch", (double)hello.writer_epoch);
    health_number(broker->health, "revision", (double)hello.revision);
    report(broker->health, numbers, list_gauges(&view, numbers));
    report(broker->health, numbers, list_latencies(&view, numbers));
    report(broker->health, numbers, list_counters(&view.counters, broker->strays, numbers));
    health_end(broker->health);
}
