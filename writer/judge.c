/*
 * judge.c - what a request deserves before anything is changed: by role, session, deadline and content.
 */
#include "proto/clock.h"
#include "writer/internal.h"

struct progress progress_of(const struct write_message *message, const struct session *session)
{
    if (!session)
        return (struct progress){message->step.active, message->step.count, message->step.last};
    return (struct progress){session->staged.step.active,
                             session->staged.step.count,
                             {session->staged.step.last, session->staged.step.last_bytes}};
}

static void fill_outcome(struct reply *reply, const struct session_outcome *outcome)
{
    reply->status = outcome->status;
    reply->flags = outcome->flags;
    reply->failed_part = outcome->failed_part;
    reply->revision = outcome->revision;
    reply->count = outcome->count;
}

static struct session_key key_of(const struct write_message *message)
{
    struct session_key key;

    memcpy(key.principal, message->principal, sizeof key.principal);
    memcpy(key.id, message->session.id, sizeof key.id);
    return key;
}

/* `session` NULL afterwards: the reply is filled. */
static struct judged judge_number(struct writer *writer, const struct writer_item *item, int64_t now_ns)
{
    const struct write_message *message = item->message;
    struct reply *reply = &message->replies[item->index];
    uint64_t number = message->first <= SESSION_NUMBER_MOST ? message->first + item->index : 0;
    struct session_key key = key_of(message);
    struct session_decision decision;

    decision = session_decide(writer->sessions, &key, &message->session, number,
                              message->requests[item->index].deadline_ns / NS_PER_MS, now_ns / NS_PER_MS);
    if (decision.verdict == SESSION_APPLY)
        return (struct judged){.session = decision.session};
    if (decision.verdict == SESSION_SETTLED)
        fill_outcome(reply, &decision.outcome);
    else
        reply->status = decision.status;
    reply->number = decision.number;
    return (struct judged){.verdict = JUDGED_FINAL, .is_replay = decision.verdict == SESSION_SETTLED};
}

/* Past its deadline: not applied and so not settled, unless steps of it were. */
static enum judged_verdict judge_late(const struct writer_item *item, const struct session *session)
{
    struct reply *reply = &item->message->replies[item->index];
    struct progress progress = progress_of(item->message, session);

    reply->status = STATUS_DEADLINE_EXCEEDED;
    reply->count = progress.count;
    if (progress.active)
        return JUDGED_SETTLE;
    reply->flags = REPLY_NOT_APPLIED;
    return JUDGED_FINAL;
}

/* SKIP and CLOSE_SESSION are never too late for a session that is there: they only end something. */
static enum judged_verdict judge_wire(const struct writer_item *item, const struct session *session, int64_t now_ns)
{
    const struct request *request = &item->message->requests[item->index];
    struct reply *reply = &item->message->replies[item->index];

    if (!session) {
        reply->status = STATUS_INVALID_ARGUMENT;
        reply->message = span_text("only a session has numbers to skip");
        return JUDGED_FINAL;
    }
    if (session->fresh && request->deadline_ns <= now_ns)
        return judge_late(item, session);
    if (request->operation == OPERATION_SKIP) {
        reply->status = STATUS_CANCELLED;
        reply->count = progress_of(item->message, session).count;
        reply->flags = progress_of(item->message, session).active ? 0 : REPLY_NOT_APPLIED;
    }
    return JUDGED_SETTLE;
}

static enum judged_verdict judge_content(const struct writer *writer, const struct writer_item *item)
{
    const struct request *request = &item->message->requests[item->index];
    struct reply *reply = &item->message->replies[item->index];
    const char *why = NULL;

    reply->status = request_check(request, (size_t)writer->options.max_data_bytes, &why);
    if (reply->status == STATUS_OK && !operation_is_write(request->operation)) {
        reply->status = STATUS_INVALID_ARGUMENT;
        why = "the operation changes nothing";
    }
    reply->message = span_text(why);
    return reply->status == STATUS_OK ? JUDGED_APPLY : JUDGED_SETTLE;
}

/* Whoever may not write gets no session, which would take room. One who could write before still learns what became
 * of it, so that PERMISSION_DENIED means not applied. */
static bool has_known_session(const struct writer *writer, const struct write_message *message)
{
    struct session_key key = key_of(message);

    return message->has_session && session_find(writer->sessions, &key);
}

struct judged judge_request(struct writer *writer, const struct writer_item *item, int64_t now_ns)
{
    const struct write_message *message = item->message;
    const struct request *request = &message->requests[item->index];
    struct judged judged = {.verdict = JUDGED_FINAL};
    bool may_write = message->role >= ROLE_WRITER;

    message->replies[item->index] = (struct reply){.status = may_write ? STATUS_OK : STATUS_PERMISSION_DENIED};
    if (!may_write && !has_known_session(writer, message))
        return judged;
    if (message->has_session) {
        judged = judge_number(writer, item, now_ns);
        if (!judged.session)
            return judged;
    }
    if (!may_write)
        judged.verdict = JUDGED_SETTLE;
    else if (request->operation == OPERATION_SKIP || request->operation == OPERATION_CLOSE_SESSION)
        judged.verdict = judge_wire(item, judged.session, now_ns);
    else if (request->deadline_ns <= now_ns)
        judged.verdict = judge_late(item, judged.session);
    else
        judged.verdict = judge_content(writer, item);
    return judged;
}
