/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "loops.h"

#ifndef HAVE_UV
const struct loop_kind *const loop_uv;
#endif
#ifndef HAVE_URING
const struct loop_kind *const loop_uring;
#endif

void loop_run(const struct loop_kind *kind, void *loop, const bool *done)
{
	int64_t deadline = support_now_ms() + LOOP_FOREVER_MS;

	while (!*done) {
		require(support_now_ms() < deadline);
		kind->turn(loop, LOOP_MOMENT_MS);
	}
}

unsigned loop_run_for(const struct loop_kind *kind, void *loop, int ms)
{
	int64_t now = support_now_ms(), end = now + ms;
	unsigned woken = 0;

	for (; now < end; now = support_now_ms())
		woken += kind->turn(loop, (int)(end - now)) != LOOP_ALARM;
	return woken;
}
