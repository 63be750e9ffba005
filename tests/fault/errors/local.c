/*
 * local.c - the stories of a store in the program's own process.
 */
#include "tests/fault/errors/errors.h"

const struct story_book story_books[] = {
    {client_stories, NULL, false}, {writer_stories, NULL, false}, {NULL, NULL, false}};
