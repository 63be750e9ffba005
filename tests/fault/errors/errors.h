/*
 * errors.h - stories of a store's life that are told again for every n, with the n-th call or allocation failing.
 *
 * A story does all that it does through INSIDE, so that only the code under test meets the fault; what it checks in
 * between it checks outside.  It ends with everything closed.
 *
 * Owns: the fault that is planned.  Thread: one.
 */
#ifndef TESTS_FAULT_ERRORS_ERRORS_H
#define TESTS_FAULT_ERRORS_ERRORS_H
#include "tests/fault/disk/calls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ERROR_MEMORY = CALLS, ERROR_KINDS }; /* of calls, and allocations */

extern struct errors {
    int kind;   /* enum call, or ERROR_MEMORY */
    int error;  /* errno */
    long n;     /* which one fails, from 0 */
    bool stays; /* and all after it, until it is healed */
    bool healed;
    int depth;     /* of INSIDE */
    bool counting; /* nothing fails */
    const char *story, *act;
    char path[160];              /* of the story's database, in a folder of its own; or a service's URL */
    bool is_remote;              /* the latter */
    unsigned long statuses[160]; /* that acts ended with while a fault was there */
} errors;

/* The code under test runs in between. */
void errors_enter(void);
void errors_leave(void);
#define INSIDE(act) (errors_enter(), (act), errors_leave())
/* Has it come about? */
bool errors_met(void);
/* It is gone from now on. And time goes by: what is tried again once a second is tried. */
void errors_heal(void);
void errors_pass_second(void);

/* Says what is wrong and with which fault, and ends the program: with success if a control was to be caught. */
void errors_wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Checks that this is what such a fault may be answered with, where it is answered. */
void errors_check_status(int status, const char *message);
/* The file, closed, is whole: what `stigstore verify` and integrity_check say. */
void errors_verify(const char *path);

struct story {
    const char *name;
    void (*tell)(void);
};
extern const struct story client_stories[], remote_stories[], writer_stories[]; /* end with a NULL name */

/* What a program tells. */
struct story_book {
    const struct story *stories;
    void (*begin)(void); /* before each telling; NULL: a fresh folder is all it takes */
    bool is_patient;     /* what fails is tried again until the deadline: nothing fails but once */
};
extern const struct story_book story_books[]; /* ends with NULL stories */

/* A fault that the stories must find, wrapped around the product: see errors_controls.c. NULL: none. */
extern const char *errors_control;
bool errors_is_control(const char *name);
#endif
