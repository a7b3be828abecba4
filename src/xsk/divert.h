/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Packets of an interface led to us by tc, through a veth pair of ours:
 *
 *   HOST   host stack --(egress of eth0)--> nmxhN ==veth== far end: AF_XDP         what the host sends on eth0
 *          host stack <--(as received on eth0)-- nmxhN ==veth== far end: AF_XDP    what we send
 *   WIRE   eth0 --(ingress)--> nmxwN ==veth== far end: AF_XDP                      what eth0 receives, but for what HOST injects
 *
 * The far end is in a network namespace that only our descriptors keep alive: when the process ends, however it does, the
 * kernel removes the namespace, the pair and, with the links, the programs.  Nothing of the interface itself is changed.
 * The kernel finishes checksums and segments on the way into the pair, which offers no offloads.
 */
#ifndef NMX_XSK_DIVERT_H
#define NMX_XSK_DIVERT_H

#include <nmx/nmx.h>

#include "xsk/netlink.h"
#include "xsk/netns.h"

enum nmx__divert_kind { NMX__DIVERT_HOST, NMX__DIVERT_WIRE };

struct nmx__divert {
	enum nmx__divert_kind kind;
	bool gives_only; /* HOST: the host gets packets of us, and keeps its own; to be set before start */
	bool marks;     /* HOST: what is injected is marked, for a WIRE beside it to let it pass */
	int nic;        /* ifindex of the interface */
	int near, far;  /* ifindex of the pair's ends, each in its namespace; 0 */
	int nl, far_nl; /* netlink here and there; -1 */
	int netns;      /* of the far end; -1 */
	int link[2]; /* near, nic: what keeps the program attached (a tcx link, or the array of a guarded filter) */
	bool filter[2];          /* it is a filter, to be removed by hand... */
	bool qdisc[2];           /* ...with its qdisc */
	uint32_t generation;     /* of the process that has it: nmx__forked() */
	char name[IFNAMSIZ];     /* of the near end */
	char nic_name[IFNAMSIZ]; /* for messages */
};

/* Makes the pair, with so many queues, both ends up, and num_sockets AF_XDP sockets (NMX__NETNS_SOCKETS at most) in the
 * far end's namespace, for the caller to bind and to close with nmx__fd_close().  Nothing is diverted yet.
 * nic is an interface of the calling thread's network namespace, and so must be that of start.
 *
 * A packet comes to the queue of the far end that the kernel chose for the near end to send it on: by the flow, for what
 * the host sends; by the queue that it came in on, where the driver says that, and else by the flow, for the wire.  Flows
 * are spread evenly (64 of the host over 4 queues: 18, 17, 17, 12), and the packets of one stay together.
 *
 * Errors: NMX_ERR_BUSY (somebody has it; the report names the process), NMX_ERR_PERMISSION (the report says which
 * capability and the setcap line), NMX_ERR_NO_MEMORY, NMX_ERR_UNSUPPORTED_PLATFORM, NMX_ERR_GONE, NMX_ERR_IO. */
NMX_MUST_CHECK int nmx__divert_open(struct nmx__divert *divert, const struct nmx__link *nic,
                                    enum nmx__divert_kind kind, bool marks, uint32_t queues, int *sockets,
                                    uint32_t num_sockets, struct nmx_report *why);
/* From here on packets come.  Errors: as of open; it may be tried again, and must be closed in any case. */
NMX_MUST_CHECK int nmx__divert_start(struct nmx__divert *divert, struct nmx_report *why);
/* Also of one that was never started; synchronous: when it returns, the interface is as it was.  Of two of the same
 * interface, the one that was started last goes first, for a clsact qdisc to go with the other. */
void nmx__divert_close(struct nmx__divert *divert);

/* For tests: attach as on a kernel without tcx. */
extern bool nmx__divert_by_clsact;

#endif
