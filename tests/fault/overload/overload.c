/*
 * overload.c - fault_overload: what a service does that is asked for more than it can, or whose parts and peers stop.
 *
 *     fault_overload SITUATION [--seconds N] [--fault NAME --expect CLASS]
 *
 * --fault: the service's programs have that fault built in, and the test passes only when it finds something of the
 * class.
 */
#include "tests/fault/overload/overload.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(struct trial *trial);
} situations[] = {
    {"ten-times", overload_ten_times},
    {"neighbour", overload_neighbour},
    {"grants", overload_grants},
    {"writer-stopped", overload_writer_stopped},
    {"slow-disk", overload_slow_disk},
    {"held-snapshot", overload_held_snapshot},
    {"stopped-client", overload_stopped_client},
    {"deaf", overload_deaf},
    {"crowd", overload_crowd},
    {"descriptors", overload_descriptors},
};
enum { SITUATIONS = sizeof(situations) / sizeof(*situations) };

void overload_check_answers(struct trial *trial, const struct flood_counts *counts, const char *what)
{
    trial_check(trial, counts->unanswered == 0, "answers", "%s: %llu of %llu requests have no answer, %llu of them cut",
                what, (unsigned long long)counts->unanswered, (unsigned long long)counts->sent,
                (unsigned long long)counts->cut);
    trial_check(trial, counts->twice == 0, "answers", "%s: %llu answers to nothing that is under way", what,
                (unsigned long long)counts->twice);
    trial_check(trial, counts->other == 0, "answers", "%s: %llu ended otherwise, as %s (%d)", what,
                (unsigned long long)counts->other, stigstore_status_name(counts->other_status), counts->other_status);
}

static _Noreturn void explain(void)
{
    fprintf(stderr, "usage: fault_overload SITUATION [--seconds N] [--fault NAME --expect CLASS]\nsituations:");
    for (size_t i = 0; i < SITUATIONS; i++)
        fprintf(stderr, " %s", situations[i].name);
    fprintf(stderr, "\n");
    exit(2);
}

static size_t parse(struct trial *trial, int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {0}};
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (key == 's')
            trial->seconds = strtod(optarg, NULL);
        else if (key == 'f')
            trial->fault = optarg;
        else if (key == 'e')
            trial->expect = optarg;
        else
            explain();
    if (optind != argc - 1 || trial->seconds <= 0 || !trial->fault != !trial->expect)
        explain();
    for (size_t i = 0; i < SITUATIONS; i++)
        if (strcmp(situations[i].name, argv[optind]) == 0)
            return i;
    explain();
}

int main(int argc, char **argv)
{
    static struct trial trial = {.seconds = 10};
    size_t index = parse(&trial, argc, argv);
    situations[index].run(&trial);
    bool is_passed = trial.fault ? trial.expected > 0 : trial.findings == 0;
    printf("%s: %s\n", situations[index].name,
           trial.fault ? is_passed ? "found" : "NOT FOUND"
           : is_passed ? "passed"
                       : "FAILED");
    return is_passed ? 0 : 1;
}
