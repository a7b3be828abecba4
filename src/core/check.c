/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where a checked build stops.  In every build of the library, for programs may be checked when it is not. */
#include <stdio.h>
#include <stdlib.h>

#include "core/ring.h"

void nmx__trap(const void *handle, uint32_t slot, const char *what, const char *file, int line)
{
	const struct nmx__ring *ring = handle;

	if (line)
		fprintf(stderr, "nmx: %s:%d: ", file, line);
	else
		fprintf(stderr, "nmx: %s: ", file); /* a function of the library */
	fprintf(stderr, "%s", what);
	if (ring)
		fprintf(stderr, " (%s ring %u of \"%s\", slot %u)", ring->is_tx ? "transmit" : "receive", ring->index,
		        ring->port->info.name, slot);
	else
		fprintf(stderr, " (buffer %u)", slot);
	fputc('\n', stderr);
	abort();
}

void nmx__check_thread(const void *handle, uintptr_t *owner, const char *file, int line)
{
	static _Thread_local char self;
	const struct nmx__ring *ring = handle;
	const struct netmap_ring *shown = ring->is_tx ? ring->handle.tx.ring : ring->handle.rx.ring;
	uintptr_t me = (uintptr_t)&self, before = 0;

	if (__atomic_compare_exchange_n(owner, &before, me, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || before == me)
		return;
	nmx__trap(handle, shown->cur, "the ring is used by two threads, and was not handed over with nmx_rx_unbind() or nmx_tx_unbind()",
	          file, line);
}
