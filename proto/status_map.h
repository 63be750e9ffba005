/*
 * status_map.h - every status, once: number, name, whether a mutation was applied, what to do, text.
 *
 * The build copies the lines between the marks into the installed header, so they must stand alone.  Numbers never
 * change their meaning.  Statuses of the wire stand from 128 up and never reach a caller.
 */
#ifndef PROTO_STATUS_MAP_H
#define PROTO_STATUS_MAP_H

/* BEGIN PUBLIC STATUS MAP */
/* X(name, number, was a mutation applied?, what to do, text). The two middle columns are part of the promise. */
#define STIGSTORE_STATUS_MAP(X)                                                                              \
    X(OK, 0, YES, NOTHING, "done")                                                                           \
    X(END, 1, NO, NOTHING, "no more items")                                                                  \
    X(NOT_FOUND, 2, NO, NOTHING, "no such resource or audit record")                                         \
    X(CONFLICT, 3, NO, READ_AGAIN, "a condition does not hold; result.revision is the current one")          \
    X(INVALID_ARGUMENT, 4, NO, NOTHING, "the request breaks a limit or a rule")                              \
    X(TOO_LARGE, 5, NO, NOTHING, "the data or the answer is over its limit")                                 \
    X(DEADLINE_EXCEEDED, 6, MAYBE, RESEND, "no answer in time; it lands before your next mutation or never") \
    X(CANCELLED, 7, MAYBE, RESEND, "cancelled by the caller; it lands before your next mutation or never")   \
    X(OVERLOADED, 8, NO, LATER, "a bound on work in flight is reached; wait result.retry_after_ms")          \
    X(UNAVAILABLE, 9, NO, LATER, "no service answers, and the request never left")                           \
    X(BUSY, 10, NO, LATER, "another process owns the database for writing")                                  \
    X(READ_ONLY, 11, NO, NOTHING, "the handle or the key may only read")                                     \
    X(STORAGE_FULL, 12, NO, LATER, "no space left; reads go on")                                             \
    X(IDEMPOTENCY_MISMATCH, 13, NO, NOTHING, "the idempotency key was used for another request")             \
    X(OUTCOME_LOST, 14, MAYBE, READ_AGAIN, "too late to tell whether it was applied")                        \
    X(SNAPSHOT_EXPIRED, 15, NO, READ_AGAIN, "the list was held longer than a snapshot may live")             \
    X(PERMISSION_DENIED, 16, NO, NOTHING, "the key is unknown or its role forbids this")                     \
    X(UNSUPPORTED, 17, NO, NOTHING, "newer schema, foreign file, network file system or unknown version")    \
    X(CORRUPT, 18, MAYBE, READ_AGAIN, "the database or a message fails its checks")                          \
    X(IO_ERROR, 19, MAYBE, LATER, "the operating system reported an error")                                  \
    X(NO_MEMORY, 20, NO, LATER, "an allocation failed")                                                      \
    X(ABORTED, 21, NO, NOTHING, "the update callback said so")                                               \
    X(CLOSED, 22, MAYBE, READ_AGAIN, "the handle is closed")                                                 \
    X(FORKED, 23, NO, NOTHING, "the handle was opened before fork()")                                        \
    X(WENT_BACK, 24, NO, READ_AGAIN, "the store is older than what this handle has seen: it was restored")   \
    X(KEYS_EXHAUSTED, 25, NO, LATER, "too many idempotency keys are being kept")                             \
    X(INTERNAL, 26, MAYBE, READ_AGAIN, "a defect of stigstore; please report it")
/* END PUBLIC STATUS MAP */

/* X(name, number, text): between client, broker and writer only. */
#define WIRE_STATUS_MAP(X)                                                                        \
    X(OUT_OF_ORDER, 128, "an earlier number of the session is missing; resend from reply.number") \
    X(BELOW_FLOOR, 129, "the session has given this number up")                                   \
    X(UNKNOWN_SESSION, 130, "the session may have been evicted; reply.number is the counter now") \
    X(OTHER_STORE, 131, "the session was born in another incarnation of the store")               \
    X(NOT_READ, 132, "the answer was full before this request; send it again")
#endif
