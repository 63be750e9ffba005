/*
 * overload.h - the situations of fault_overload, by idea: load (overload_load.c), something that stops
 * (overload_stops.c), connections (overload_connections.c).
 */
#ifndef TESTS_FAULT_OVERLOAD_OVERLOAD_H
#define TESTS_FAULT_OVERLOAD_OVERLOAD_H
#include "tests/fault/overload/flood.h"
#include "tests/fault/overload/trial.h"

void overload_ten_times(struct trial *trial);
void overload_neighbour(struct trial *trial);
void overload_grants(struct trial *trial);

void overload_writer_stopped(struct trial *trial);
void overload_slow_disk(struct trial *trial);
void overload_held_snapshot(struct trial *trial);
void overload_stopped_client(struct trial *trial);

void overload_deaf(struct trial *trial);
void overload_crowd(struct trial *trial);
void overload_descriptors(struct trial *trial);

/* One answer to each request, of a kind that overload may have: class "answers". */
void overload_check_answers(struct trial *trial, const struct flood_counts *counts, const char *what);
#endif
