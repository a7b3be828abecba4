/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "pace.h"

#include "clock.h"
#include "stop.h"

#define MAKE_GOOD_NS (20 * CLOCK_MS)
#define TOO_NEAR_NS CLOCK_MS        /* not worth a sleep */
#define LATE_WAKE_NS (CLOCK_MS / 4) /* what a sleep may take longer than asked for */

void pace_start(struct pace *pace, uint64_t pps, uint64_t now_ns)
{
	*pace = (struct pace){ pps, now_ns, 0 };
}

/* Nanoseconds after start at which packet k is due, rounded up.  Whole seconds apart: no overflow. */
static uint64_t due_after(const struct pace *pace, uint64_t k)
{
	return k / pace->pps * CLOCK_S + (k % pace->pps * CLOCK_S + pace->pps - 1) / pace->pps;
}

static uint64_t packets_by(const struct pace *pace, uint64_t elapsed_ns)
{
	return elapsed_ns / CLOCK_S * pace->pps + elapsed_ns % CLOCK_S * pace->pps / CLOCK_S + 1;
}

uint64_t pace_due(struct pace *pace, uint64_t want, uint64_t now_ns)
{
	if (pace->pps == 0)
		return want;
	uint64_t next_ns = pace->start_ns + due_after(pace, pace->sent);
	if (now_ns < next_ns)
		return 0;
	if (now_ns - next_ns > MAKE_GOOD_NS)
		pace_start(pace, pace->pps, now_ns - MAKE_GOOD_NS);
	uint64_t due = packets_by(pace, now_ns - pace->start_ns) - pace->sent;
	return due < want ? due : want;
}

void pace_idle_until(uint64_t due_ns, uint64_t now_ns)
{
	uint64_t ahead = due_ns > now_ns ? due_ns - now_ns : 0;

	if (ahead < TOO_NEAR_NS) {
		clock_relax();
		return;
	}
	ahead -= LATE_WAKE_NS;
	clock_sleep(ahead < STOP_SLICE_MS * CLOCK_MS ? ahead : STOP_SLICE_MS * CLOCK_MS);
}

void pace_idle(const struct pace *pace, uint64_t now_ns)
{
	pace_idle_until(pace->start_ns + due_after(pace, pace->sent), now_ns);
}
