/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One case of nmx demo: this process sends, a child receives, through a pipe in a private directory. */
#ifndef NMX_TOOLS_DEMO_H
#define NMX_TOOLS_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hist.h"

enum demo_way {
	DEMO_IN_PLACE, /* built in the ring's buffer, checked in the ring's buffer */
	DEMO_COPY,     /* built in memory of our own and copied in; copied out and checked */
	DEMO_PING_SPIN,
	DEMO_PING_SLEEP,
};

struct demo_case {
	const char *name;
	uint32_t len;
	enum demo_way way;
	uint32_t ms;
};

static inline bool demo_is_ping(const struct demo_case *c)
{
	return c->way >= DEMO_PING_SPIN;
}

struct demo_result {
	uint64_t sent, received, bytes, lost, duplicate, reordered, corrupt;
	double seconds; /* at the receiver, first to last packet */
	struct hist rtt;
};

/* True: every packet arrived, once, in order and intact.  Trouble is said. */
bool demo_run_case(const struct demo_case *c, const char *directory, struct demo_result *result);

/* Makes an empty directory that is ours alone, in memory if there is /dev/shm.  0, or -1: errno, and `directory`
 * names what could not be made. */
int demo_directory(char *directory, size_t size);
void demo_remove(const char *directory);

#endif
