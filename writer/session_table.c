/*
 * session_table.c - where sessions are kept: found by key and by their name in the log, in order of use and of row.
 */
#include "proto/clock.h"
#include "proto/failure.h"
#include "writer/session.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

static int link_of(enum session_order order)
{
    return order == SESSION_BY_ROW ? SESSION_LINK_ROW : SESSION_LINK_USE;
}

void session_order_append(struct session_table *table, enum session_order order, struct session *session)
{
    int link = link_of(order);

    session->links[link].previous = table->orders[order].tail;
    session->links[link].next = NULL;
    if (table->orders[order].tail)
        table->orders[order].tail->links[link].next = session;
    else
        table->orders[order].head = session;
    table->orders[order].tail = session;
}

void session_order_remove(struct session_table *table, enum session_order order, struct session *session)
{
    int link = link_of(order);
    struct session *previous = session->links[link].previous, *next = session->links[link].next;

    if (previous)
        previous->links[link].next = next;
    else
        table->orders[order].head = next;
    if (next)
        next->links[link].previous = previous;
    else
        table->orders[order].tail = previous;
}

/* Ids come from peers: the seed keeps them from choosing a bucket. */
static size_t key_hash(const struct session_table *table, const struct session_key *key)
{
    uint64_t words[sizeof *key / sizeof(uint64_t)];
    uint64_t hash = table->seed;

    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return (size_t)hash & (table->buckets - 1);
}

static size_t serial_hash(const struct session_table *table, uint64_t serial)
{
    return (size_t)serial & (table->buckets - 1);
}

static void put(struct session_table *table, struct session *session)
{
    size_t key = key_hash(table, &session->key), serial = serial_hash(table, session->serial);

    session->next_by_key = table->by_key[key];
    table->by_key[key] = session;
    session->next_by_serial = table->by_serial[serial];
    table->by_serial[serial] = session;
}

static bool make_buckets(struct session_table *table, size_t buckets)
{
    struct session **by_key = calloc(buckets, sizeof(struct session *)),
                   **by_serial = calloc(buckets, sizeof(struct session *));

    if (!by_key || !by_serial) {
        free(by_key);
        free(by_serial);
        return false;
    }
    free(table->by_key);
    free(table->by_serial);
    table->by_key = by_key;
    table->by_serial = by_serial;
    table->buckets = buckets;
    return true;
}

/* Without memory the chains just grow longer. Every session stands in the order of rows. */
static void grow(struct session_table *table)
{
    if (table->count < table->buckets || !make_buckets(table, table->buckets * 2))
        return;
    for (struct session *s = table->orders[SESSION_BY_ROW].head; s; s = s->links[SESSION_LINK_ROW].next)
        put(table, s);
}

struct session_table *session_table_new(const struct session_limits *limits,
                                        const uint8_t incarnation[INCARNATION_BYTES], uint64_t counter)
{
    struct session_table *table = calloc(1, sizeof *table);

    if (!table)
        return NULL;
    memcpy(table->incarnation, incarnation, INCARNATION_BYTES);
    table->limits = *limits;
    table->counter = table->staged_counter = counter;
    table->next_serial = 1;
    random_bytes(&table->seed, sizeof table->seed);
    if (!make_buckets(table, FIRST_BUCKETS)) {
        free(table);
        return NULL;
    }
    return table;
}

void session_table_clear(struct session_table *table)
{
    assert(!table->touched && !table->leaving);
    for (struct session *s = table->orders[SESSION_BY_ROW].head, *next; s; s = next) {
        next = s->links[SESSION_LINK_ROW].next;
        session_remove(table, s);
    }
}

void session_table_free(struct session_table **table)
{
    if (!table || !*table)
        return;
    session_abort(*table);
    session_table_clear(*table);
    free((*table)->by_key);
    free((*table)->by_serial);
    free(*table);
    *table = NULL;
}

struct session *session_find(const struct session_table *table, const struct session_key *key)
{
    struct session *session = table->by_key[key_hash(table, key)];

    while (session && memcmp(&session->key, key, sizeof *key) != 0)
        session = session->next_by_key;
    return session;
}

struct session *session_find_serial(const struct session_table *table, uint64_t serial)
{
    struct session *session = table->by_serial[serial_hash(table, serial)];

    while (session && session->serial != serial)
        session = session->next_by_serial;
    return session;
}

struct session *session_restore(struct session_table *table, const struct session_key *key, uint64_t serial)
{
    struct session *session = calloc(1, sizeof *session);

    assert(!session_find(table, key));
    if (!session)
        return NULL;
    session->key = *key;
    session->serial = serial;
    if (serial >= table->next_serial)
        table->next_serial = serial + 1;
    grow(table);
    put(table, session);
    session_order_append(table, SESSION_LIVE, session);
    session_order_append(table, SESSION_BY_ROW, session);
    table->count++;
    return session;
}

void session_remove(struct session_table *table, struct session *session)
{
    struct session **key = &table->by_key[key_hash(table, &session->key)];
    struct session **serial = &table->by_serial[serial_hash(table, session->serial)];

    while (*key != session)
        key = &(*key)->next_by_key;
    *key = session->next_by_key;
    while (*serial != session)
        serial = &(*serial)->next_by_serial;
    *serial = session->next_by_serial;
    session_order_remove(table, session->now.closed ? SESSION_CLOSED : SESSION_LIVE, session);
    session_order_remove(table, SESSION_BY_ROW, session);
    table->count--;
    table->outcomes -= session->outcomes.count - session->staged_count;
    outcomes_clear(&session->outcomes);
    free(session->now.step.last);
    if (session->step_changed)
        free(session->staged.step.last);
    free(session);
}

static int compare_use(const void *left, const void *right)
{
    const struct session *a = *(struct session *const *)left, *b = *(struct session *const *)right;

    if (a->used_ms != b->used_ms)
        return a->used_ms < b->used_ms ? -1 : 1;
    return (a->serial > b->serial) - (a->serial < b->serial);
}

void session_sort_by_use(struct session_table *table)
{
    struct session **all = calloc(table->count + 1, sizeof(struct session *));
    size_t count = 0;

    if (!all)
        return; /* in order of rows, then: idle ones are found a little later */
    for (struct session *s = table->orders[SESSION_LIVE].head; s; s = s->links[SESSION_LINK_USE].next)
        all[count++] = s;
    qsort(all, count, sizeof(struct session *), compare_use);
    table->orders[SESSION_LIVE].head = table->orders[SESSION_LIVE].tail = NULL;
    for (size_t i = 0; i < count; i++)
        session_order_append(table, SESSION_LIVE, all[i]);
    free(all);
}
