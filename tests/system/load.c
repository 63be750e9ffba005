/*
 * load.c - load by threads, and the check of what became of it.
 */
#include "tests/system/load.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"

#include <stdlib.h>
#include <string.h>

stigstore *load_open(const char *url, uint32_t timeout_ms)
{
    stigstore_options options = {.struct_size = sizeof(options), .timeout_ms = timeout_ms, .open_timeout_ms = 30000};
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    if (stigstore_open(url, &options, &store, &result) != STIGSTORE_OK)
        fail_msg("cannot open %s: %s", url, result ? result->message : "");
    stigstore_result_free(&result);
    return store;
}

static stigstore_decision add_one(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    uint64_t *number = context;
    *number = 0;
    if (current)
        memcpy(number, current->data.data, sizeof(*number));
    *number += 1;
    *data = (stigstore_bytes){number, sizeof(*number)};
    return STIGSTORE_UPDATE_SAVE;
}

static int count_one(struct load_thread *thread, unsigned counter)
{
    char id[32];
    uint64_t number = 0;
    snprintf(id, sizeof(id), "counter-%u", counter);
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("shared"), .id = stigstore_text(id)};
    int status = stigstore_update(thread->store, &request, add_one, &number, NULL);
    thread->increments[counter] += status == STIGSTORE_OK;
    return status;
}

static int save_one(struct load_thread *thread)
{
    char id[32];
    uint64_t number = thread->plain + 1;
    snprintf(id, sizeof(id), "thread-%u", thread->index);
    int status = stigstore_save_resource(thread->store, stigstore_text("own"), stigstore_text(id),
                                         (stigstore_bytes){&number, sizeof(number)}, NULL);
    thread->plain = status == STIGSTORE_OK ? number : thread->plain;
    return status;
}

static void *run(void *context)
{
    struct load_thread *thread = context;
    for (unsigned round = thread->index; !atomic_load(&thread->load->stop); round++) {
        int status = round % 2 ? count_one(thread, round / 2 % LOAD_COUNTERS) : save_one(thread);
        if (status == STIGSTORE_OK) {
            thread->mutations++;
            atomic_fetch_add(&thread->load->acknowledged, 1);
            continue;
        }
        thread->failed++;
        thread->last_failure = status;
        if (thread->load->stop_at_failure)
            break;
    }
    return NULL;
}

void load_start(struct load *load, const char *url, uint32_t timeout_ms)
{
    load->url = url;
    load->timeout_ms = timeout_ms;
    for (unsigned i = 0; i < LOAD_THREADS; i++) {
        stigstore *store = i % 2 ? load->threads[i - 1].store : load_open(url, timeout_ms);
        load->threads[i] = (struct load_thread){.load = load, .store = store, .index = i};
    }
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(pthread_create(&load->threads[i].thread, NULL, run, &load->threads[i]), 0);
}

struct goal {
    struct load *load;
    uint64_t acknowledged;
};

static bool is_reached(void *context)
{
    struct goal *goal = context;
    return atomic_load(&goal->load->acknowledged) >= goal->acknowledged;
}

void load_wait(struct load *load, uint64_t more)
{
    struct goal goal = {load, atomic_load(&load->acknowledged) + more};
    wait_until(is_reached, &goal, 120, "more acknowledged mutations");
}

void load_join(struct load *load)
{
    atomic_store(&load->stop, true);
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        pthread_join(load->threads[i].thread, NULL);
    for (unsigned i = 0; i < LOAD_THREADS; i += 2)
        stigstore_free(&load->threads[i].store);
}

static uint64_t stored_number(stigstore *store, const char *kind, const char *stem, unsigned index)
{
    char id[32];
    uint64_t number = 0;
    stigstore_result *result = NULL;
    snprintf(id, sizeof(id), "%s-%u", stem, index);
    int status = stigstore_get_resource(store, stigstore_text(kind), stigstore_text(id), &result);
    if (status == STIGSTORE_OK) {
        assert_int_equal(result->items[0].data.size, sizeof(number));
        memcpy(&number, result->items[0].data.data, sizeof(number));
    } else {
        assert_int_equal(status, STIGSTORE_NOT_FOUND);
    }
    stigstore_result_free(&result);
    return number;
}

uint64_t store_revision(stigstore *store)
{
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = stigstore_text("own")};
    stigstore_result *result = NULL;
    assert_int_equal(stigstore_call(store, &request, &result), STIGSTORE_OK);
    uint64_t revision = result->revision;
    stigstore_result_free(&result);
    return revision;
}

void load_check(struct load *load, stigstore *store, uint64_t revision_before)
{
    uint64_t mutations = 0, failed = 0;
    for (unsigned i = 0; i < LOAD_THREADS; i++) {
        mutations += load->threads[i].mutations;
        failed += load->threads[i].failed;
        uint64_t plain = load->threads[i].plain;
        assert_in_range(stored_number(store, "own", "thread", i), plain, plain + (load->threads[i].failed > 0));
    }
    for (unsigned c = 0; c < LOAD_COUNTERS; c++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < LOAD_THREADS; i++)
            sum += load->threads[i].increments[c];
        assert_in_range(stored_number(store, "shared", "counter", c), sum, sum + failed);
    }
    if (revision_before != UINT64_MAX)
        assert_in_range(store_revision(store) - revision_before, mutations, mutations + failed);
}
