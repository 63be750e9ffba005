/*
 * timetext.c - UTC times as text, by arithmetic alone: no locale, no time zone, no allocation.
 *
 * Days and civil dates convert over the proleptic Gregorian calendar in years that begin on 1 March, so that the leap
 * day comes last.
 */
#include "storage/timetext.h"

#define MS_PER_DAY INT64_C(86400000)
#define YEAR_0     (INT64_C(-719528) * MS_PER_DAY) /* 0000-01-01 */
#define YEAR_10000 (INT64_C(2932897) * MS_PER_DAY) /* 10000-01-01 */

enum { DAYS_BEFORE_1970 = 719468, DAYS_400_YEARS = 146097, DAYS_100_YEARS = 36524, DAYS_4_YEARS = 1460 };

struct civil {
    int64_t year, month, day;
};

static struct civil civil_of_days(int64_t days)
{
    days += DAYS_BEFORE_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_400_YEARS - 1)) / DAYS_400_YEARS;
    int64_t of_era = days - era * DAYS_400_YEARS;
    int64_t year = (of_era - of_era / DAYS_4_YEARS + of_era / DAYS_100_YEARS - of_era / (DAYS_400_YEARS - 1)) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
    int64_t day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    return (struct civil){year + era * 400 + (month <= 2), month, day};
}

static int64_t days_of_civil(struct civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t of_year = (153 * month + 2) / 5 + date.day - 1;
    return era * DAYS_400_YEARS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - DAYS_BEFORE_1970;
}

/* `width` digits and the character behind them. */
static char *put_number(char *at, int64_t value, int width, char behind)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    at[width] = behind;
    return at + width + 1;
}

void timetext_format(int64_t wall_ms, char out[TIMETEXT_BYTES + 1])
{
    if (wall_ms < YEAR_0)
        wall_ms = YEAR_0;
    if (wall_ms >= YEAR_10000)
        wall_ms = YEAR_10000 - 1;
    int64_t days = (wall_ms >= 0 ? wall_ms : wall_ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
    int64_t ms = wall_ms - days * MS_PER_DAY;
    struct civil date = civil_of_days(days);
    char *at = put_number(out, date.year, 4, '-');
    at = put_number(at, date.month, 2, '-');
    at = put_number(at, date.day, 2, ' ');
    at = put_number(at, ms / 3600000, 2, ':');
    at = put_number(at, ms / 60000 % 60, 2, ':');
    at = put_number(at, ms / 1000 % 60, 2, '.');
    put_number(at, ms % 1000, 3, '\0');
}

struct cursor {
    const char *at, *end;
    bool bad;
};

static int64_t take_digits(struct cursor *text, int width)
{
    int64_t value = 0;
    for (int i = 0; i < width; i++, text->at++) {
        if (text->at == text->end || *text->at < '0' || *text->at > '9') {
            text->bad = true;
            return 0;
        }
        value = value * 10 + (*text->at - '0');
    }
    return value;
}

static bool take_char(struct cursor *text, char wanted)
{
    bool is_there = text->at < text->end && *text->at == wanted;
    text->at += is_there;
    return is_there;
}

static void need_char(struct cursor *text, char wanted)
{
    if (!take_char(text, wanted))
        text->bad = true;
}

/* The fraction's first three digits as milliseconds; further ones are passed over. */
static int64_t take_fraction_ms(struct cursor *text)
{
    int64_t ms = 0, weight = 100;
    if (!take_char(text, '.'))
        return 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++, weight /= 10)
        ms += weight * (*text->at - '0');
    return ms;
}

static int64_t take_zone_ms(struct cursor *text)
{
    if (take_char(text, 'Z') || text->at == text->end)
        return 0;
    int64_t sign = take_char(text, '-') ? -1 : 1;
    if (sign > 0)
        need_char(text, '+');
    int64_t hours = take_digits(text, 2);
    need_char(text, ':');
    return sign * (hours * 60 + take_digits(text, 2)) * 60000;
}

/* What may be added to a byte's difference from the form before its top bit is set: a digit differs from '0' by 9 at
 * most, any other byte by nothing. */
#define D "\x76"
#define O "\x7F"

/* Whether eight bytes are as in `form`, but for the digits; no sum goes beyond its byte unless that one is wrong. */
static bool has_form(const char *at, const char *form, const char *allowed)
{
    uint64_t bytes, wanted, room;
    memcpy(&bytes, at, sizeof bytes);
    memcpy(&wanted, form, sizeof wanted);
    memcpy(&room, allowed, sizeof room);
    uint64_t difference = bytes ^ wanted;
    return ((difference | (difference + room)) & UINT64_C(0x8080808080808080)) == 0;
}

/* Whether all of it is in the form that timetext_format writes. */
static bool has_own_form(const char text[TIMETEXT_BYTES])
{
    return has_form(text, "0000-00-", D D D D O D D O) && has_form(text + 8, "00 00:00", D D O D D O D D) &&
           has_form(text + 15, "0:00.000", D O D D O D D D);
}
#undef D
#undef O

static int64_t two_digits(const char *at)
{
    return (at[0] - '0') * 10 + (at[1] - '0');
}

static int64_t time_of(struct civil date, int64_t hours, int64_t minutes, int64_t seconds, int64_t ms)
{
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31)
        return 0;
    return days_of_civil(date) * MS_PER_DAY + ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
}

/* Nearly all times are of this form, and each row that is read has two. */
static int64_t parse_own_form(const char *at)
{
    struct civil date = {two_digits(at) * 100 + two_digits(at + 2), two_digits(at + 5), two_digits(at + 8)};
    int64_t ms = INT64_C(100) * (at[20] - '0') + two_digits(at + 21);
    return time_of(date, two_digits(at + 11), two_digits(at + 14), two_digits(at + 17), ms);
}

static int64_t parse_any_form(struct span span)
{
    struct cursor text = {span.data, (const char *)span.data + span.size, false};
    struct civil date;
    date.year = take_digits(&text, 4);
    need_char(&text, '-');
    date.month = take_digits(&text, 2);
    need_char(&text, '-');
    date.day = take_digits(&text, 2);
    if (!take_char(&text, 'T'))
        need_char(&text, ' ');
    int64_t hours = take_digits(&text, 2);
    need_char(&text, ':');
    int64_t minutes = take_digits(&text, 2);
    need_char(&text, ':');
    int64_t seconds = take_digits(&text, 2);
    int64_t ms = take_fraction_ms(&text);
    int64_t zone_ms = take_zone_ms(&text);
    if (text.bad || text.at != text.end)
        return 0;
    return time_of(date, hours, minutes, seconds, ms - zone_ms);
}

int64_t timetext_parse(struct span span)
{
    if (span.size == 0)
        return 0;
    return span.size == TIMETEXT_BYTES && has_own_form(span.data) ? parse_own_form(span.data) : parse_any_form(span);
}
