/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Whether an interface can carry packets: rings do not tell, they just stay empty or full. */
#ifndef NMX_TOOLS_LINK_H
#define NMX_TOOLS_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

enum link_state {
	LINK_NONE,       /* the port is no interface: always ready */
	LINK_UP,         /* and with a carrier */
	LINK_NO_CARRIER, /* set up, and nobody at the other end of the cable */
	LINK_DOWN,       /* by its administrator */
	LINK_GONE,
};

struct link {
	const char *command; /* for messages */
	char name[IFNAMSIZ]; /* "": none */
	enum link_state state;
};

/* name: the interface, or "".  Says nothing. */
void link_start(struct link *link, const char *command, const char *name);

/* Looks, and says when the state has changed: a system call or two, so once a second will do. */
enum link_state link_look(struct link *link);

/* Waits until each of n links is up, at most so long (opening a port makes some devices start anew), or a stop is asked
 * for.  Says which are not, in the end. */
#define LINK_PATIENCE_NS UINT64_C(4000000000)
void link_await(struct link *const *links, int n, uint64_t timeout_ns);

bool link_is_down(const struct link *link);

#endif
