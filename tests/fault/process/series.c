/*
 * series.c - samples and what they tell.
 */
#include "tests/fault/process/series.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_SAMPLES = 24 };

static void *grow(void *memory, size_t bytes)
{
    void *larger = realloc(memory, bytes);
    if (!larger)
        exit(1);
    return larger;
}

void series_add(struct all_series *all, const char *role, pid_t pid, double value)
{
    if (value < 0)
        return;
    size_t i = 0;
    while (i < all->count && (all->series[i].pid != pid || strcmp(all->series[i].role, role) != 0))
        i++;
    if (i == all->count) {
        all->series = grow(all->series, (all->count + 1) * sizeof(*all->series));
        all->series[all->count++] = (struct series){.role = role, .pid = pid};
    }
    struct series *series = &all->series[i];
    if ((series->count & (series->count - 1)) == 0)
        series->values = grow(series->values, (series->count ? series->count * 2 : 1) * sizeof(double));
    series->values[series->count++] = value;
}

void series_free(struct all_series *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->series[i].values);
    free(all->series);
    *all = (struct all_series){0};
}

static double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

double series_growth(const struct series *series)
{
    size_t quarter = series->count / 4;
    if (series->count < LEAST_SAMPLES)
        return 0;
    return mean(series->values + series->count - quarter, quarter) - mean(series->values + quarter, quarter);
}

double series_most(const struct series *series)
{
    double most = 0;
    for (size_t i = 0; i < series->count; i++)
        most = series->values[i] > most ? series->values[i] : most;
    return most;
}

double process_resident_bytes(pid_t pid)
{
    char path[64];
    unsigned long size = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "re");
    bool is_read = file && fscanf(file, "%lu %lu", &size, &resident) == 2;
    if (file)
        fclose(file);
    return is_read && resident ? (double)resident * (double)sysconf(_SC_PAGESIZE) : -1;
}

double process_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    DIR *folder = opendir(path);
    double count = -2; /* . and .. */
    if (!folder)
        return -1;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count > 0 ? count : -1;
}
