/*
 * intruder.c - fault_intruder: tries to get at a database that a service owns, and notes when it had it.
 *
 *     fault_intruder embedded DATABASE FOLDER FIRST-HANDLE
 *     fault_intruder serve    DATABASE FOLDER FIRST-HANDLE STIGSTORE ENDPOINT
 *
 * While no service lives it may get in: then the embedded one applies a mutation of its own, which must be there ever
 * after, and a service is killed at once. Ends on SIGTERM.
 */
#include "tests/fault/process/deeds.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int signal_number)
{
    (void)signal_number;
    asked_to_end = 1;
}

/* ---- by its path ---- */

static void use(stigstore *store, const struct journal *journal)
{
    static struct deed_request request;
    const struct deed_name name = {.deed = DEED_MARK, .handle = journal->handle, .number = 1};
    stigstore_result *result = NULL;
    journal_note(journal, (struct journal_record){.event = EVENT_INSIDE});
    journal_note(journal, (struct journal_record){.event = EVENT_SUBMIT, .deed = DEED_MARK, .number = 1});
    deed_fill(&request, &name);
    stigstore_call(store, &request.request, &result);
    journal_note(journal, (struct journal_record){.event = EVENT_RESULT,
                                                  .deed = DEED_MARK,
                                                  .number = 1,
                                                  .revision = result->revision,
                                                  .status = result->status,
                                                  .flags = result->flags});
    journal_note(journal, (struct journal_record){.event = EVENT_OUTSIDE});
    stigstore_result_free(&result);
}

static void try_embedded(const char *database, const char *folder, uint64_t *handle)
{
    const stigstore_options options = {.struct_size = sizeof(options),
                                       .open_timeout_ms = 40,
                                       .flags = STIGSTORE_OPEN_NO_ATTACH | STIGSTORE_OPEN_MUST_EXIST};
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    if (stigstore_open(database, &options, &store, &result) == STIGSTORE_OK) {
        struct journal journal = journal_open(folder, (*handle)++);
        use(store, &journal);
        journal_close(&journal);
    }
    stigstore_free(&store);
    stigstore_result_free(&result);
}

/* ---- as another service ---- */

static pid_t start_service(const char *program, const char *database, const char *endpoint, int ready_fd)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", ready_fd);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    fcntl(ready_fd, F_SETFD, 0);
    execl(program, program, "serve", "--db", database, "--endpoint", endpoint, "--ready-fd", number, (char *)NULL);
    _exit(127);
}

static void try_serve(const char *program, const char *database, const char *endpoint, const char *folder,
                      uint64_t *handle)
{
    int ready[2];
    char line[8] = "";
    if (pipe2(ready, O_CLOEXEC) != 0)
        exit(1);
    pid_t pid = start_service(program, database, endpoint, ready[1]);
    close(ready[1]);
    while (read(ready[0], line, sizeof(line)) < 0 && !asked_to_end)
        continue;
    if (line[0] == 'R') {
        struct journal journal = journal_open(folder, (*handle)++);
        journal_note(&journal, (struct journal_record){.event = EVENT_INSIDE});
        poll(NULL, 0, 5);
        journal_note(&journal, (struct journal_record){.event = EVENT_OUTSIDE});
        journal_close(&journal);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
}

int main(int argc, char **argv)
{
    bool serves = argc == 7 && strcmp(argv[1], "serve") == 0;
    if (!serves && (argc != 5 || strcmp(argv[1], "embedded") != 0)) {
        fprintf(stderr, "usage: fault_intruder embedded|serve DATABASE FOLDER FIRST-HANDLE [STIGSTORE ENDPOINT]\n");
        return 2;
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = ask_to_end}, NULL);
    uint64_t handle = strtoull(argv[4], NULL, 10);
    while (!asked_to_end) {
        if (serves)
            try_serve(argv[5], argv[2], argv[6], argv[3], &handle);
        else
            try_embedded(argv[2], argv[3], &handle);
        poll(NULL, 0, serves ? 60 : 10); /* it is one of many things that the machine has to do */
    }
    return 0;
}
