/*
 * clock.h - the clocks the store uses, and the identity of this boot.
 */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H
#include <stdint.h>

#define BOOT_ID_BYTES 16
#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_S      INT64_C(1000000000)

/* CLOCK_BOOTTIME in ns: what deadlines are measured by; one clock for all processes of this boot. */
int64_t clock_boot_ns(void);
/* CLOCK_REALTIME in ms since the Unix epoch. */
int64_t clock_wall_ms(void);
/* now + timeout_ms without overflow; UINT32_MAX is no deadline (INT64_MAX). */
int64_t clock_deadline_ns(uint32_t timeout_ms);
/* Milliseconds until `deadline_ns`, rounded up, at least 0, at most `most`. */
int clock_ms_until(int64_t deadline_ns, int most);
/* The kernel's boot id; all zero when it cannot be read.  Thread-safe, read once. */
const uint8_t *clock_boot_id(void);
/* Fills with random bytes from the kernel; aborts only when the kernel has none, which Linux does not do after boot. */
void random_bytes(void *bytes, uint64_t size);
#endif
