/*
 * remote_damage.c - answers that no worker gives: whatever number they bring, a caller is told CORRUPT.
 */
#include "tests/unit/remote_fixture.h"

static int status_told(struct fixture *f, uint32_t operation, const struct envelope *answer, const struct reply *reply)
{
    struct user *user = submit(f, operation, 0);
    struct incoming in = expect_type(f, operation == OPERATION_SAVE ? MESSAGE_WRITE : MESSAGE_READ);
    struct envelope envelope = *answer;
    uint8_t body[256];
    size_t size = reply ? body_replies_size(reply, 1) : 0;

    envelope.type = MESSAGE_REPLY;
    envelope.flags = operation == OPERATION_SAVE ? ENVELOPE_WRITE : 0;
    envelope.first = in.envelope.first;
    envelope.count = in.envelope.count;
    if (reply)
        body_encode_replies(reply, 1, body);
    broker_sends(f, &envelope, (struct span){body, size});
    lead_until_ended(f, user);
    return user->status;
}

static void a_number_that_is_no_status_is_told_to_nobody(void **state)
{
    struct fixture *f = *state;
    static const int strange[] = {-1, STATUS_INTERNAL + 1, 100, 127, STATUS_NOT_READ + 1, INT32_MAX, INT32_MIN};
    static const uint32_t operations[] = {OPERATION_SAVE, OPERATION_GET};

    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            const struct envelope fine = {.status = STATUS_OK}, odd = {.status = strange[i]};
            const struct reply reply = {.status = strange[i], .revision = 7};

            assert_int_equal(status_told(f, operations[k], &fine, &reply), STATUS_CORRUPT);
            assert_int_equal(status_told(f, operations[k], &odd, NULL), STATUS_CORRUPT);
        }
    }
}

static void a_status_of_the_other_lane_is_told_to_nobody(void **state)
{
    struct fixture *f = *state;
    const struct envelope fine = {.status = STATUS_OK};
    const struct item item = {.kind = span_text("k"), .status = STATUS_NOT_READ};
    const struct reply not_read = {.status = STATUS_NOT_READ},
                       item_not_read = {.status = STATUS_OK, .revision = 7, .items = &item, .item_count = 1};

    for (int status = STATUS_OUT_OF_ORDER; status <= STATUS_OTHER_STORE; status++) {
        const struct envelope odd = {.status = status};
        const struct reply reply = {.status = status};

        assert_int_equal(status_told(f, OPERATION_GET, &fine, &reply), STATUS_CORRUPT);
        assert_int_equal(status_told(f, OPERATION_GET, &odd, NULL), STATUS_CORRUPT);
    }
    assert_int_equal(status_told(f, OPERATION_SAVE, &fine, &not_read), STATUS_CORRUPT);
    assert_int_equal(status_told(f, OPERATION_GET, &fine, &item_not_read), STATUS_CORRUPT);
}

static void a_list_that_was_not_read_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_call(f, &(struct call){.request = {.operation = OPERATION_LIST, .kind = span_text("k")},
                                                      .streamed = true,
                                                      .credit_bytes = 500});
    struct incoming in = expect_type(f, MESSAGE_READ);
    const struct reply not_read = {.status = STATUS_NOT_READ};
    uint8_t body[64];
    size_t size = body_replies_size(&not_read, 1);

    broker_sends_piece(f, in.envelope.first, 0, false);
    body_encode_replies(&not_read, 1, body);
    broker_sends(
        f,
        &(struct envelope){
            .type = MESSAGE_STREAM, .flags = ENVELOPE_LAST, .first = in.envelope.first, .piece = 1, .count = 1},
        (struct span){body, size});
    lead_until_ended(f, user);
    assert_int_equal(user->status, STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTED(a_number_that_is_no_status_is_told_to_nobody),
        CONNECTED(a_status_of_the_other_lane_is_told_to_nobody),
        CONNECTED(a_list_that_was_not_read_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
