/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The rate, once a second, on standard error: on a terminal one line rewritten in place, else a line a second. */
#ifndef NMX_TOOLS_LIVE_H
#define NMX_TOOLS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#define LIVE_WAYS 2 /* directions that one line can show */
struct live_count {
	uint64_t packets, bytes;
};

struct live {
	bool on;
	bool terminal;
	bool colour;
	uint64_t next_ns; /* when the next line is due */
	uint64_t last_ns;
	struct live_count last[LIVE_WAYS];
	/* The caller sets these when it has them. */
	double percent; /* done; below 0: not known */
	uint64_t bad;   /* packets lost, doubled or damaged: shown when there are any */
};

void live_start(struct live *live, bool quiet);
/* Of two ways, the first is shown as -> and the second as <-. */
void live_show(struct live *live, uint64_t now_ns, const struct live_count *counts, int ways);
void live_end(struct live *live); /* wipes the line */

/* Both are cheap enough for every turn of a loop. */
static inline bool live_due(const struct live *live, uint64_t now_ns) { return now_ns >= live->next_ns; }
static inline void live_tick(struct live *live, uint64_t now_ns, uint64_t packets, uint64_t bytes)
{
	if (live_due(live, now_ns))
		live_show(live, now_ns, &(struct live_count){ packets, bytes }, 1);
}

/* Whether text to this descriptor may have colours: a terminal, and no NO_COLOR (https://no-color.org). */
bool live_colour(int fd);

#endif
