/*
 * report.c - the figures of a run, for people and for programs.
 */
#include "bench/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static double microseconds(const struct histogram *histogram, double percent)
{
    return (double)histogram_percentile_ns(histogram, percent) / 1000;
}

static double most_us(const struct histogram *histogram)
{
    return (double)histogram->most_ns / 1000;
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* ---- table ---- */

static void print_latency(FILE *out, const char *name, const struct histogram *histogram)
{
    fprintf(out, "%-14s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us\n", name, microseconds(histogram, 50),
            microseconds(histogram, 90), microseconds(histogram, 99), microseconds(histogram, 99.9),
            most_us(histogram));
}

static void print_load(const struct bench_report *report, FILE *out)
{
    const struct bench_options *options = &report->options;
    fprintf(out, "%-14s %s via %s, %u threads, %u handles, %u in flight, %" PRIu64 " keys of %zu bytes\n", "load",
            options->workload, bench_via_names[options->via], options->threads, options->handles, options->in_flight,
            options->keys, options->value_bytes);
    if (options->rate > 0) {
        fprintf(out, "%-14s %.0f/s, latency from the intended begin; %" PRIu64 " were never begun\n", "rate",
                options->rate, report->late);
    }
}

static void print_processes(const struct bench_report *report, FILE *out)
{
    for (size_t i = 0; i < report->process_count; i++) {
        const struct watch_process *process = &report->processes[i];
        fprintf(out, "%-14s %.1f MiB at most, %.1f MiB at the begin, %.2f s of processor\n", process->name,
                (double)process->peak_kib / 1024, (double)process->begin_kib / 1024, process->cpu_s);
    }
}

void report_table(const struct bench_report *report, FILE *out)
{
    print_load(report, out);
    fprintf(out, "%-14s %" PRIu64 " in %.3f s: %.0f/s\n", "operations", report->operations, report->elapsed_s,
            per_second(report->operations, report->elapsed_s));
    if (report->rows)
        fprintf(out, "%-14s %" PRIu64 ": %.0f/s\n", "rows", report->rows, per_second(report->rows, report->elapsed_s));
    print_latency(out, "latency", &report->latency);
    if (report->quiet.count) {
        print_latency(out, "before", &report->quiet);
        fprintf(out, "%-14s %" PRIu64 " rows in %.3f s\n", "deleted", report->deleted, report->delete_s);
    }
    if (report->beside.count) {
        fprintf(out, "%-14s %.0f puts/s\n", "beside", per_second(report->beside.count, report->beside_s));
        print_latency(out, "", &report->beside);
    }
    print_processes(report, out);
    fprintf(out, "%-14s %" PRIu64 " mutations; %" PRIu64 " conflicts, %" PRIu64 " failed\n", "acknowledged",
            report->acknowledged, report->conflicts, report->failed);
    fprintf(out, "%-14s %s: %" PRIu64 " keys read\n", "verified", report->verified ? "yes" : "NO", report->checked);
    if (*report->complaint)
        fprintf(out, "%-14s %s\n", "trouble", report->complaint);
}

/* ---- JSON ---- */

static void set_number(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_real(value));
}

static void set_count(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void set_options(json_t *object, const struct bench_options *options)
{
    json_object_set_new(object, "workload", json_string(options->workload));
    json_object_set_new(object, "via", json_string(bench_via_names[options->via]));
    set_count(object, "threads", options->threads);
    set_count(object, "handles", options->handles);
    set_count(object, "in_flight", options->in_flight);
    set_count(object, "batch", options->batch);
    set_count(object, "value_bytes", options->value_bytes);
    set_count(object, "keys", options->keys);
    set_number(object, "rate", options->rate);
    set_count(object, "seed", options->seed);
}

static void set_latency(json_t *object, const char *prefix, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"p50_us", 50}, {"p90_us", 90}, {"p99_us", 99}, {"p999_us", 99.9}};
    char name[32];
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        snprintf(name, sizeof(name), "%s%s", prefix, points[i].name);
        set_number(object, name, microseconds(histogram, points[i].percent));
    }
    snprintf(name, sizeof(name), "%smax_us", prefix);
    set_number(object, name, most_us(histogram));
}

static json_t *json_of_processes(const struct bench_report *report)
{
    json_t *array = json_array();
    for (size_t i = 0; i < report->process_count; i++) {
        const struct watch_process *process = &report->processes[i];
        json_t *object = json_object();
        json_object_set_new(object, "name", json_string(process->name));
        set_count(object, "pid", (uint64_t)process->pid);
        set_count(object, "begin_kib", process->begin_kib);
        set_count(object, "peak_kib", process->peak_kib);
        set_number(object, "cpu_s", process->cpu_s);
        json_array_append_new(array, object);
    }
    return array;
}

bool report_json(const struct bench_report *report, FILE *out)
{
    json_t *object = json_object();
    set_options(object, &report->options);
    set_number(object, "elapsed_s", report->elapsed_s);
    set_count(object, "operations", report->operations);
    set_number(object, "ops_per_s", per_second(report->operations, report->elapsed_s));
    set_number(object, "rows_per_s", per_second(report->rows, report->elapsed_s));
    set_latency(object, "", &report->latency);
    if (report->quiet.count) {
        set_latency(object, "quiet_", &report->quiet);
        set_count(object, "deleted", report->deleted);
        set_number(object, "delete_s", report->delete_s);
    }
    if (report->beside.count) {
        set_number(object, "beside_per_s", per_second(report->beside.count, report->beside_s));
        set_latency(object, "beside_", &report->beside);
    }
    set_count(object, "conflicts", report->conflicts);
    set_count(object, "failed", report->failed);
    set_count(object, "late", report->late);
    set_count(object, "acknowledged", report->acknowledged);
    set_count(object, "checked", report->checked);
    json_object_set_new(object, "verified", json_boolean(report->verified));
    json_object_set_new(object, "complaint", json_string(report->complaint));
    json_object_set_new(object, "processes", json_of_processes(report));
    bool done = object && json_dumpf(object, out, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0 && fputc('\n', out) != EOF;
    json_decref(object);
    return done;
}

/* ---- CSV ---- */

bool report_csv(const struct bench_report *report, const char *path)
{
    const struct bench_options *options = &report->options;
    FILE *out = fopen(path, "ae");
    if (!out)
        return false;
    if (ftell(out) == 0) {
        fputs("workload,via,threads,handles,in_flight,batch,value_bytes,keys,rate,ops_per_s,rows_per_s,p50_us,p90_us,"
              "p99_us,p999_us,max_us,acknowledged,verified\n",
              out);
    }
    const struct histogram *latency = &report->latency;
    fprintf(out, "%s,%s,%u,%u,%u,%u,%zu,%" PRIu64 ",%.0f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%" PRIu64 ",%s\n",
            options->workload, bench_via_names[options->via], options->threads, options->handles, options->in_flight,
            options->batch, options->value_bytes, options->keys, options->rate,
            per_second(report->operations, report->elapsed_s), per_second(report->rows, report->elapsed_s),
            microseconds(latency, 50), microseconds(latency, 90), microseconds(latency, 99),
            microseconds(latency, 99.9), most_us(latency), report->acknowledged, report->verified ? "true" : "false");
    return fclose(out) == 0;
}

/* ---- plot ---- */

static void plot_line(FILE *gnuplot, const struct histogram *histogram)
{
    /* "One in so many": 1, 1.1, ... to the number of operations. */
    double in = 1;
    while (in < (double)histogram->count * 1.1 + 1) {
        fprintf(gnuplot, "%g %g\n", in, microseconds(histogram, 100 * (1 - 1 / in)));
        in *= 1.1;
    }
    fputs("e\n", gnuplot);
}

bool report_plot(const struct bench_report *report, const char *path)
{
    const struct bench_options *options = &report->options;
    if (strpbrk(path, "'\n"))
        return false;
    FILE *gnuplot = popen("gnuplot", "we");
    if (!gnuplot)
        return false;
    fprintf(gnuplot,
            "set terminal pngcairo size 900,560\nset output '%s'\nset logscale xy\nset grid\nset key left top\n"
            "set xlabel 'percentile'\nset ylabel 'latency, microseconds'\n"
            "set xtics ('0' 1, '50' 2, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, '99.999' 100000)\n"
            "set title '%s via %s: %.0f operations/s, %u threads, %u in flight, %zu bytes'\n"
            "plot '-' with lines lw 2 title '%s'%s%s\n",
            path, options->workload, bench_via_names[options->via], per_second(report->operations, report->elapsed_s),
            options->threads, options->in_flight, options->value_bytes, options->workload,
            report->quiet.count ? ", '-' with lines lw 2 title 'before the delete'" : "",
            report->beside.count ? ", '-' with lines lw 2 title 'puts beside it'" : "");
    plot_line(gnuplot, &report->latency);
    if (report->quiet.count)
        plot_line(gnuplot, &report->quiet);
    if (report->beside.count)
        plot_line(gnuplot, &report->beside);
    return pclose(gnuplot) == 0;
}
