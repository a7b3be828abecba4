/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Milliseconds of a clock that all processes share and nobody sets. */
#ifndef NMX_BASE_CLOCK_H
#define NMX_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t nmx__clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline int64_t nmx__now_ms(void) { return nmx__clock_ms(CLOCK_MONOTONIC); }

/* The cheapest there is, some milliseconds late: for what is asked at each empty sync. */
static inline int64_t nmx__coarse_ms(void)
{
#if defined(CLOCK_MONOTONIC_COARSE)
	return nmx__clock_ms(CLOCK_MONOTONIC_COARSE); /* Linux */
#elif defined(CLOCK_MONOTONIC_FAST)
	return nmx__clock_ms(CLOCK_MONOTONIC_FAST); /* FreeBSD */
#else
	return nmx__clock_ms(CLOCK_MONOTONIC);
#endif
}

#endif
