/*
 * call_list.h - calls in a ring through their own links, in order.
 *
 * Owns: nothing; a call is on one list at most and can be taken off without knowing which.
 * Invariant: an empty list is a head that links to itself; a call that is on no list has NULL links.
 */
#ifndef CLIENT_CALL_LIST_H
#define CLIENT_CALL_LIST_H
#include "client/lane.h"

#include <assert.h>

struct call_list {
    struct call head; /* only its links are used */
};

static inline void call_list_init(struct call_list *list)
{
    *list = (struct call_list){.head = {.next = &list->head, .previous = &list->head}};
}

static inline struct call *call_list_first(const struct call_list *list)
{
    return list->head.next == &list->head ? NULL : list->head.next;
}

/* The one behind `call`; NULL at the end. */
static inline struct call *call_list_next(const struct call_list *list, const struct call *call)
{
    return call->next == &list->head ? NULL : call->next;
}

static inline void call_list_insert(struct call *call, struct call *previous, struct call *next)
{
    call->previous = previous;
    call->next = next;
    previous->next = next->previous = call;
}

static inline void call_list_append(struct call_list *list, struct call *call)
{
    call_list_insert(call, list->head.previous, &list->head);
}

static inline void call_list_prepend(struct call_list *list, struct call *call)
{
    call_list_insert(call, &list->head, list->head.next);
}

static inline void call_list_remove(struct call *call)
{
    assert(call->previous && call->next);
    call->previous->next = call->next;
    call->next->previous = call->previous;
    call->next = call->previous = NULL;
}
#endif
