/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The rate, once a second, on standard error: on a terminal one line rewritten in place, else a line a second. */
#ifndef NMX_TOOLS_LIVE_H
#define NMX_TOOLS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

struct live {
	bool on;
	bool terminal;
	bool colour;
	uint64_t next_ns; /* when the next line is due */
	uint64_t last_ns, last_packets, last_bytes;
	/* The caller sets these when it has them. */
	double percent; /* done; below 0: not known */
	uint64_t bad;   /* packets lost, doubled or damaged: shown when there are any */
};

void live_start(struct live *live, bool quiet);
void live_show(struct live *live, uint64_t now_ns, uint64_t packets, uint64_t bytes);
void live_end(struct live *live); /* wipes the line */

/* Is cheap enough for every turn of a loop. */
static inline void live_tick(struct live *live, uint64_t now_ns, uint64_t packets, uint64_t bytes)
{
	if (now_ns >= live->next_ns)
		live_show(live, now_ns, packets, bytes);
}

/* Whether text to this descriptor may have colours: a terminal, and no NO_COLOR (https://no-color.org). */
bool live_colour(int fd);

#endif
