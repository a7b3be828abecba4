/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Whether an interface can carry packets: rings do not tell, they just stay empty or full. */
#ifndef NMX_TOOLS_LINK_H
#define NMX_TOOLS_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "port.h"

enum link_state {
	LINK_NONE,       /* the port is no interface: always ready */
	LINK_UP,         /* and with a carrier */
	LINK_NO_CARRIER, /* set up, and nobody at the other end of the cable */
	LINK_DOWN,       /* by its administrator */
	LINK_GONE,
};

struct link {
	const struct port *port;
	char name[IFNAMSIZ];
	enum link_state state;
};

void link_start(struct link *link, const struct port *port);

/* Looks, and says when the state has changed: a system call or two, so once a second will do. */
enum link_state link_look(struct link *link);

/* Waits until none of n links is down, at most so long.  Says which are, in the end. */
void link_await(struct link *links, int n, uint64_t timeout_ns);

#endif
