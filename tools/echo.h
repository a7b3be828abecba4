/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Round trips: one end sends a stamped packet at a time and waits for it, the other gives every packet back. */
#ifndef NMX_TOOLS_ECHO_H
#define NMX_TOOLS_ECHO_H

#include "frame.h"
#include "hist.h"
#include "live.h"
#include "port.h"
#include "receiver.h"

struct ping {
	struct port *port;
	struct live *live;
	uint64_t count, len, interval_ns, timeout_ns;
	uint64_t until_ns; /* end at this time of the clock; 0: not by time */
	bool spin;
	struct frame_template template;
	/* Results. */
	uint64_t sent, answered, lost; /* lost: no answer in time */
	uint64_t late, corrupt;        /* answers too late, or doubled; answers with a wrong byte */
	uint32_t lost_in_a_row;
	bool peer_gone;
	int err;         /* of the port */
	struct hist rtt; /* ns */
};

/* Ends after ping->count packets, at until_ns, PING_GIVE_UP unanswered ones in a row, when the other end has gone, on
 * a stop request, or when the port fails. */
#define PING_GIVE_UP 10
void ping_run(struct ping *ping);

/* Gives packets back without a copy, on the transmit ring with the number of the receive ring, until the other end has
 * gone, a stop request, or the port fails (said).  An interface's broadcasts and multicasts stay. */
struct pong_report {
	uint64_t packets;
	uint64_t to_groups; /* not given back */
};
enum receive_end pong_run(struct port *port, struct live *live, bool spin, struct pong_report *report);

#endif
