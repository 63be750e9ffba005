/*
 * report.h - a run's figures as a table, a JSON object, a line of CSV and a plot.
 *
 * Thread: any.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H
#include "bench/bench.h"

#include <stdio.h>

void report_table(const struct bench_report *report, FILE *out);
/* One object on a line; false: it could not be written. */
bool report_json(const struct bench_report *report, FILE *out);
/* Appends a line, after one of names when the file is new or empty. False with errno. */
bool report_csv(const struct bench_report *report, const char *path);
/* A PNG of latency over percentiles, by gnuplot; false: it is not installed or failed. */
bool report_plot(const struct bench_report *report, const char *path);
#endif
