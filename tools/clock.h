/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_TOOLS_CLOCK_H
#define NMX_TOOLS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_S UINT64_C(1000000000)
#define CLOCK_MS UINT64_C(1000000)

/* CLOCK_MONOTONIC: the same in all processes of one machine, so one may subtract another's stamp. */
static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_S + (uint64_t)ts.tv_nsec;
}

/* Sleeps, or less long when a signal comes. */
static inline void clock_sleep(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / CLOCK_S), (long)(ns % CLOCK_S) };

	nanosleep(&ts, NULL);
}

/* For a turn of a loop that polls: lets the other hardware thread of the core run. */
static inline void clock_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
