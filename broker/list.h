/*
 * list.h - circular doubly linked lists whose links lie inside what they join.
 *
 * Owns: nothing.  Thread: one at a time.
 * Invariant: a link is in one list or points to itself.
 */
#ifndef BROKER_LIST_H
#define BROKER_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *previous;
};

#define LIST_OF(link_pointer, type, member) ((type *)(void *)((char *)(link_pointer)-offsetof(type, member)))

static inline void list_init(struct link *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct link *list)
{
    return list->next == list;
}

static inline void list_insert(struct link *after, struct link *item)
{
    item->previous = after;
    item->next = after->next;
    after->next->previous = item;
    after->next = item;
}

static inline void list_push_back(struct link *list, struct link *item)
{
    list_insert(list->previous, item);
}

static inline void list_push_front(struct link *list, struct link *item)
{
    list_insert(list, item);
}

/* Takes it out of whatever list it is in; harmless when it is in none. */
static inline void list_remove(struct link *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
    list_init(item);
}
#endif
