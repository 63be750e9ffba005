/*
 * broker_route_bounds.c - what the broker keeps within bounds: counts, bytes, credit, turns.
 */
#include "tests/unit/broker_sim.h"

enum { READER, WRITER };

static struct sim sim;

static struct route_limits small_limits(void)
{
    struct route_limits limits = route_limits_default(0);
    limits.uncredited_bytes = 1000;
    limits.client_request_bytes = 10000;
    limits.request_bytes = 25000;
    limits.client_reply_bytes = 100000;
    limits.reply_bytes = 1000000;
    limits.client_messages = 20;
    limits.messages = 50;
    limits.group_requests = 4;
    return limits;
}

static int set_up(void **state)
{
    (void)state;
    struct route_limits limits = small_limits();
    sim_start(&sim, &limits);
    for (uint32_t slot = 0; slot < 4; slot++)
        sim_client(&sim, slot);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sim_end(&sim);
    return 0;
}

static void a_client_past_its_count_is_overloaded_at_once(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 20; number++)
        sim_read(&sim, 0, number);
    assert_quiet(&sim);
    sim_read(&sim, 0, 21);
    struct action refused = sim_answer(&sim);
    assert_int_equal(refused.envelope.first, 21);
    assert_int_equal(refused.envelope.status, STATUS_OVERLOADED);
    assert_true(refused.envelope.retry_after_ms > 0);
    sim_read(&sim, 1, 1);
    assert_quiet(&sim);
}

static void a_client_past_its_bytes_is_overloaded_at_once(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 10; number++)
        sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, number), 1000);
    assert_quiet(&sim);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 11), 1);
    assert_answered(&sim, 0, 11, STATUS_OVERLOADED);
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    struct action first = sim_forwarded_to(&sim, WRITER, 1);
    sim_reply(&sim, &first, STATUS_OK, 1);
    sim_answer(&sim);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 11), 1000);
    assert_false(sim_has_answer(&sim));
}

static void all_clients_together_are_bounded(void **state)
{
    (void)state;
    for (uint32_t slot = 0; slot < 3; slot++)
        for (uint64_t number = 1; number <= 10; number++)
            sim_send(&sim, slot, sim_message(&sim, MESSAGE_WRITE, number), 1000);
    for (uint64_t number = 6; number <= 10; number++)
        assert_answered(&sim, 2, number, STATUS_OVERLOADED);
    assert_quiet(&sim);
}

static void a_large_body_needs_a_grant_that_is_used_once(void **state)
{
    (void)state;
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 1), 1001);
    assert_answered(&sim, 0, 1, STATUS_OVERLOADED);
    sim_credit(&sim, 0, 55, 6000, 0);
    struct action grant = sim_answer(&sim);
    assert_int_equal(grant.envelope.type, MESSAGE_CREDIT);
    assert_int_equal(grant.envelope.first, 55);
    assert_int_equal(grant.envelope.bytes, 6000);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 1), 6001);
    assert_answered(&sim, 0, 1, STATUS_OVERLOADED);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 1), 6000);
    assert_quiet(&sim);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 2), 2000);
    assert_answered(&sim, 0, 2, STATUS_OVERLOADED);
}

static void a_grant_waits_until_there_is_room(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    sim_credit(&sim, 0, 1, 10000, 0);
    sim_answer(&sim);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, 1), 10000);
    struct action write = sim_forwarded(&sim);
    sim_credit(&sim, 0, 2, 5000, 0);
    assert_quiet(&sim);
    sim_credit(&sim, 1, 3, 5000, 0); /* another client is not held up */
    assert_answered(&sim, 1, 3, STATUS_OK);
    sim_reply(&sim, &write, STATUS_OK, 1);
    assert_answered(&sim, 0, 1, STATUS_OK);
    assert_answered(&sim, 0, 2, STATUS_OK);
}

static void small_bodies_find_room_beside_large_ones(void **state)
{
    (void)state;
    struct route_limits limits = small_limits();
    limits.credited_bytes = 22000;
    sim_end(&sim);
    sim_start(&sim, &limits);
    for (uint32_t slot = 0; slot < 4; slot++)
        sim_client(&sim, slot);
    sim_credit(&sim, 0, 1, 9999, 0);
    sim_credit(&sim, 1, 1, 9999, 0);
    assert_answered(&sim, 0, 1, STATUS_OK);
    assert_answered(&sim, 1, 1, STATUS_OK);
    sim_credit(&sim, 2, 1, 5000, 0);
    assert_quiet(&sim);
    sim_write(&sim, 3, 1);
    assert_quiet(&sim); /* it waits for a writer: it is not refused */
}

static void a_large_body_that_waits_for_long_keeps_others_from_bringing_more(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    for (uint64_t number = 1; number <= 10; number++)
        sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, number), 1000);
    sim_send(&sim, 1, sim_message(&sim, MESSAGE_WRITE, 1), 1000);
    sim_credit(&sim, 2, 1, 20000, 0);
    sim_send(&sim, 1, sim_message(&sim, MESSAGE_WRITE, 2), 1000);
    assert_false(sim_has_answer(&sim));
    sim_pass(&sim, 600);
    sim_send(&sim, 1, sim_message(&sim, MESSAGE_WRITE, 3), 1000);
    assert_answered(&sim, 1, 3, STATUS_OVERLOADED);
    sim_write(&sim, 3, 1); /* who has nothing under way is let in */
    assert_false(sim_has_answer(&sim));
    for (unsigned i = 0; i < 8; i++) {
        struct action write = sim_forwarded(&sim);
        sim_reply(&sim, &write, STATUS_OK, 1);
        sim_answer(&sim);
    }
    assert_answered(&sim, 2, 1, STATUS_OK);
}

static void an_unused_grant_lapses(void **state)
{
    (void)state;
    sim_credit(&sim, 0, 1, 10000, 0);
    sim_credit(&sim, 1, 1, 10000, 0);
    sim_answer(&sim);
    sim_answer(&sim);
    sim_credit(&sim, 2, 1, 10000, 0);
    assert_quiet(&sim);
    sim_pass(&sim, 7000);
    assert_answered(&sim, 2, 1, STATUS_OK);
    sim_credit(&sim, 3, 1, UINT64_C(1) << 40, 0);
    assert_answered(&sim, 3, 1, STATUS_TOO_LARGE);
}

static void a_worker_holds_one_group_and_a_message(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    struct route_message message = sim_message(&sim, MESSAGE_WRITE, 1);
    message.envelope.count = 3;
    for (uint64_t number = 1; number <= 10; number += 3) {
        message.envelope.first = number;
        sim_send(&sim, 0, message, 10);
    }
    struct action first = sim_forwarded_to(&sim, WRITER, 1);
    sim_forwarded_to(&sim, WRITER, 4);
    assert_quiet(&sim);
    sim_reply(&sim, &first, STATUS_OK, 1);
    sim_forwarded_to(&sim, WRITER, 7);
    assert_false(sim_has_forwarded(&sim));
}

/* One that floods is served beside the others, not before them. */
static void clients_take_turns_in_bytes(void **state)
{
    (void)state;
    struct route_limits limits = route_limits_default(0);
    limits.group_requests = 1;
    sim_end(&sim);
    sim_start(&sim, &limits);
    sim_client(&sim, 0);
    sim_client(&sim, 1);
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    for (uint64_t number = 1; number <= 100; number++)
        sim_send(&sim, 0, sim_message(&sim, MESSAGE_WRITE, number), 60000);
    for (uint64_t number = 1; number <= 10; number++)
        sim_send(&sim, 1, sim_message(&sim, MESSAGE_WRITE, number), 1000);
    unsigned served_small = 0, served = 0;
    for (; served_small < 10; served++) {
        struct action write = sim_forwarded(&sim);
        assert_false(sim_has_forwarded(&sim));
        served_small += write.bytes == 1000;
        sim_reply(&sim, &write, STATUS_OK, 1);
        sim_answer(&sim);
    }
    assert_true(served < 16);
}

/* A worker has so little of one client that who comes finds it free soon. */
static void a_client_has_its_share_of_a_worker(void **state)
{
    (void)state;
    struct route_limits limits = route_limits_default(0);
    limits.group_requests = 8;
    limits.client_group_requests = 3;
    sim_end(&sim);
    sim_start(&sim, &limits);
    sim_client(&sim, 0);
    sim_client(&sim, 1);
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    for (uint64_t number = 1; number <= 10; number++)
        sim_write(&sim, 0, number);
    struct action first = sim_forwarded_to(&sim, WRITER, 1);
    sim_forwarded_to(&sim, WRITER, 2);
    sim_forwarded_to(&sim, WRITER, 3);
    assert_quiet(&sim);
    sim_write(&sim, 1, 1);
    sim_forwarded_to(&sim, WRITER, 1);
    assert_quiet(&sim);
    sim_reply(&sim, &first, STATUS_OK, 1);
    sim_forwarded_to(&sim, WRITER, 4);
    assert_false(sim_has_forwarded(&sim));
    sim_client_gone(&sim, 0);
    sim_client(&sim, 0);
    for (uint64_t number = 1; number <= 3; number++)
        sim_write(&sim, 0, number);
    sim_forwarded_to(&sim, WRITER, 1);
}

/* What a worker could not do in time is refused, while it has something that it can. */
static void what_comes_too_late_to_be_done_holds_nobody_up(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 1, 1);
    for (uint64_t number = 1; number <= 200; number++) { /* it takes 20 ms */
        sim_write(&sim, 0, number);
        struct action write = sim_forwarded(&sim);
        sim_pass(&sim, 20);
        sim_reply(&sim, &write, STATUS_OK, 1);
        sim_answer(&sim);
    }
    struct route_message late = sim_message(&sim, MESSAGE_WRITE, 1);
    late.deadline_ns = sim.now_ns + 1000 * NS_PER_MS;
    for (uint64_t number = 201; number <= 204; number++)
        sim_write(&sim, 0, number);
    sim_send(&sim, 1, late, 10);
    struct action out[4];
    for (unsigned i = 0; i < 4; i++)
        out[i] = sim_forwarded(&sim);
    sim_pass(&sim, 990);
    sim_reply(&sim, &out[0], STATUS_OK, 1);
    sim_answer(&sim);
    assert_answered(&sim, 1, 1, STATUS_OVERLOADED);
    late.deadline_ns = sim.now_ns + 1 * NS_PER_MS; /* nothing else to do: it may be quick */
    for (unsigned i = 1; i < 4; i++)
        sim_reply(&sim, &out[i], STATUS_OK, 1);
    late.envelope.first = 2;
    sim_send(&sim, 1, late, 10);
    sim_forwarded_to(&sim, WRITER, 2);
}

static void a_list_comes_in_pieces_and_its_reader_gets_credit_and_cancel(void **state)
{
    (void)state;
    sim_worker(&sim, READER, ROLE_READER, 1, 1);
    struct route_message list = sim_message(&sim, MESSAGE_READ, 5);
    list.envelope.flags = ENVELOPE_STREAM;
    list.envelope.bytes = 500;
    sim_send(&sim, 0, list, 10);
    struct action read = sim_forwarded_to(&sim, READER, 5);
    assert_true(read.envelope.flags & ENVELOPE_STREAM);
    assert_int_equal(read.envelope.bytes, 500);
    sim_piece(&sim, &read, 0, false, 400);
    struct action piece = sim_answer(&sim);
    assert_int_equal(piece.envelope.type, MESSAGE_STREAM);
    assert_int_equal(piece.envelope.piece, 0);
    sim_credit(&sim, 0, 5, 300, ENVELOPE_STREAM);
    struct action credit = sim_forwarded_to(&sim, READER, 5);
    assert_int_equal(credit.envelope.type, MESSAGE_CREDIT);
    assert_int_equal(credit.envelope.bytes, 300);
    assert_int_equal(credit.envelope.ticket, read.envelope.ticket);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_CANCEL, 5), 0);
    assert_int_equal(sim_forwarded_to(&sim, READER, 5).envelope.type, MESSAGE_CANCEL);
    sim_piece(&sim, &read, 1, true, 0);
    struct action last = sim_answer(&sim);
    assert_true(last.envelope.flags & ENVELOPE_LAST);
    assert_int_equal(last.envelope.piece, 1);
    sim_credit(&sim, 0, 5, 300, ENVELOPE_STREAM);
    assert_quiet(&sim);
}

static void a_list_that_has_delivered_ends_with_its_reader_another_begins_anew(void **state)
{
    (void)state;
    sim_worker(&sim, READER, ROLE_READER, 1, 1);
    struct route_message list = sim_message(&sim, MESSAGE_READ, 5);
    list.envelope.flags = ENVELOPE_STREAM;
    list.envelope.bytes = 500;
    sim_send(&sim, 0, list, 10);
    struct action read = sim_forwarded(&sim);
    sim_piece(&sim, &read, 0, false, 400);
    sim_answer(&sim);
    list.envelope.first = 6;
    sim_send(&sim, 0, list, 10);
    sim_forwarded_to(&sim, READER, 6);
    sim_worker_gone(&sim, READER);
    struct action last = sim_answer(&sim);
    assert_int_equal(last.envelope.first, 5);
    assert_int_equal(last.envelope.type, MESSAGE_STREAM);
    assert_true(last.envelope.flags & ENVELOPE_LAST);
    assert_int_equal(last.envelope.piece, 1);
    assert_int_equal(last.envelope.status, STATUS_SNAPSHOT_EXPIRED);
    sim_worker(&sim, READER, ROLE_READER, 2, 1);
    assert_int_equal(sim_forwarded_to(&sim, READER, 6).envelope.bytes, 500);
}

static void credit_of_lists_is_held_back_while_answers_lie(void **state)
{
    (void)state;
    sim_worker(&sim, READER, ROLE_READER, 1, 1);
    sim.keeps_answers = true;
    struct route_message list = sim_message(&sim, MESSAGE_READ, 5);
    list.envelope.flags = ENVELOPE_STREAM;
    list.envelope.bytes = UINT64_MAX;
    sim_send(&sim, 0, list, 10);
    struct action read = sim_forwarded(&sim);
    assert_int_equal(read.envelope.bytes, LIMIT_STREAM_BYTES);
    list.envelope.first = 6;
    sim_send(&sim, 0, list, 10);
    assert_int_equal(sim_forwarded(&sim).envelope.bytes, LIMIT_STREAM_BYTES);
    list.envelope.first = 7;
    sim_send(&sim, 0, list, 10);
    assert_int_equal(sim_forwarded(&sim).envelope.bytes, 0);
    sim_piece(&sim, &read, 0, true, 100000);
    struct action last = sim_answer(&sim);
    route_released(sim.route, last.slot, last.generation, last.bytes, sim.now_ns);
    sim_take(&sim);
    struct action credit = sim_forwarded_to(&sim, READER, 7);
    assert_int_equal(credit.envelope.type, MESSAGE_CREDIT);
    assert_int_equal(credit.envelope.bytes, LIMIT_STREAM_BYTES);
}

static void reads_wait_while_their_clients_answers_lie(void **state)
{
    (void)state;
    sim_worker(&sim, READER, ROLE_READER, 1, 1);
    sim.keeps_answers = true;
    sim_read(&sim, 0, 1);
    struct action read = sim_forwarded(&sim);
    sim_reply(&sim, &read, STATUS_OK, 99000);
    struct action answer = sim_answer(&sim);
    sim_read(&sim, 0, 2);
    assert_quiet(&sim);
    assert_true(route_wants_releases(sim.route));
    sim_read(&sim, 1, 1); /* another client does not wait */
    sim_forwarded_to(&sim, READER, 1);
    route_released(sim.route, answer.slot, answer.generation, answer.bytes, sim.now_ns);
    sim_take(&sim);
    sim_forwarded_to(&sim, READER, 2);
}

static void a_client_that_takes_no_answers_is_cut(void **state)
{
    (void)state;
    sim.keeps_answers = true;
    for (uint64_t number = 1; number <= 100; number++)
        sim_send(&sim, 0, sim_message(&sim, MESSAGE_CONTROL, number), 10);
    assert_int_equal(sim.cuts, 1);
    size_t answers = sim.client_count - sim.client_head;
    assert_true(answers <= 40);
    for (uint64_t number = 1; number <= 100; number++)
        route_client_malformed(sim.route, 1, STATUS_INVALID_ARGUMENT, number);
    sim_take(&sim);
    assert_int_equal(sim.cuts, 1); /* junk is answered only while answers are read */
}

static void a_cancelled_read_that_waits_is_answered(void **state)
{
    (void)state;
    sim_read(&sim, 0, 1);
    sim_read(&sim, 1, 1);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_CANCEL, 1), 0);
    assert_answered(&sim, 0, 1, STATUS_CANCELLED);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_CANCEL, 1), 0);
    assert_quiet(&sim);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_past_its_count_is_overloaded_at_once),
        TEST(a_client_past_its_bytes_is_overloaded_at_once),
        TEST(all_clients_together_are_bounded),
        TEST(a_large_body_needs_a_grant_that_is_used_once),
        TEST(a_grant_waits_until_there_is_room),
        TEST(small_bodies_find_room_beside_large_ones),
        TEST(a_large_body_that_waits_for_long_keeps_others_from_bringing_more),
        TEST(an_unused_grant_lapses),
        TEST(a_worker_holds_one_group_and_a_message),
        TEST(clients_take_turns_in_bytes),
        TEST(a_client_has_its_share_of_a_worker),
        TEST(what_comes_too_late_to_be_done_holds_nobody_up),
        TEST(a_list_comes_in_pieces_and_its_reader_gets_credit_and_cancel),
        TEST(a_list_that_has_delivered_ends_with_its_reader_another_begins_anew),
        TEST(credit_of_lists_is_held_back_while_answers_lie),
        TEST(reads_wait_while_their_clients_answers_lie),
        TEST(a_client_that_takes_no_answers_is_cut),
        TEST(a_cancelled_read_that_waits_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
