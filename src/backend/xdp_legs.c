/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How packets of an interface get to sockets of ours, and back: by an XDP program where the driver takes one, by tc and a
 * pair of our own where not, and for the host's own packets. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/xdp.h"
#include "base/fork.h"
#include "base/report.h"
#include "xsk/bpf.h"
#include "xsk/rights.h"

#define ATTACH_TRIES  20
#define TRY_AGAIN     1
#define ATTACH_RIGHTS (NMX__RIGHT_RAW | NMX__RIGHT_BPF | NMX__RIGHT_ADMIN)

static int refused(const struct nmx_port *port, int err, unsigned rights, const char *what, struct nmx_report *why)
{
	char text[160];

	snprintf(text, sizeof(text), "cannot open \"%s\"", port->info.name);
	if (err == -EPERM || err == -EACCES)
		return nmx__rights_fail(why, rights, -err, text);
	if (err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -ENOSPC)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, -err, "cannot open \"%s\": %s", port->info.name, what);
	if (err == -ENODEV)
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "\"%s\" has gone", port->name.port);
	return nmx__fail(why, NMX_ERR_BIND_FAIL, -err, "cannot open \"%s\": %s", port->info.name, what);
}

/* ---- the program on the interface itself */

/* A kernel may take a program for packets of several fragments and cut them off before the socket (Linux 5.18 to 6.5):
 * so what the sockets take decides about long packets, and not this. */
static int load(const struct nmx_port *port, struct xdp_leg *leg, uint32_t queues, bool frags, struct nmx_report *why)
{
	leg->map = nmx__bpf_xsk_map(queues);
	if (leg->map < 0)
		return refused(port, leg->map, ATTACH_RIGHTS, "the kernel makes no map of sockets", why);
	leg->prog = nmx__bpf_load_xdp(leg->map, &frags);
	if (leg->prog < 0)
		return refused(port, leg->prog, ATTACH_RIGHTS, "the kernel does not take the XDP program", why);
	return 0;
}

/* Whether the program that stood in the way is there no more. */
static bool has_made_way(const struct xdp_port *x)
{
	struct nmx__link now;

	return nmx__nl_link(x->nl, NULL, x->interface.ifindex, &now) == 0 && (!now.xdp_prog || now.xdp_prog != x->interface.xdp_prog);
}

/* Somebody's program is there: ours, of another process, is joined; any other is left alone.  TRY_AGAIN: it has gone since,
 * for its process has just ended. */
static int join(const struct nmx_port *port, struct xdp_port *x, bool last_try, struct nmx_report *why)
{
	int err = nmx__nl_link(x->nl, NULL, x->interface.ifindex, &x->interface);

	if (err == 0)
		err = nmx__bpf_join(x->interface.ifindex, x->interface.xdp_prog, &x->nic.link, &x->nic.map);
	if (err == 0)
		return 0;
	if (err == -ENOENT && !last_try && has_made_way(x))
		return TRY_AGAIN;
	if (err == -ENOENT)
		return nmx__fail(why, NMX_ERR_BUSY, 0,
		                 "\"%s\" has another XDP program (id %u; bpftool prog show id %u): it is left alone; to take it off: ip link set "
		                 "dev %s xdp off",
		                 port->name.port, x->interface.xdp_prog, x->interface.xdp_prog, port->name.port);
	return refused(port, err, ATTACH_RIGHTS | NMX__RIGHT_SYS, "another process has it, and cannot be joined", why);
}

static bool is_long(const struct xdp_port *x) { return x->interface.mtu + ETH_HLEN + 4 > NMX__BUF_LEN; }

static int too_long(const struct nmx_port *port, const struct xdp_port *x, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0,
	                 "\"%s\" has MTU %u, and this kernel gives packets of at most %u bytes to AF_XDP (longer ones need Linux 6.6): ip link "
	                 "set dev %s mtu 1500",
	                 port->name.port, x->interface.mtu, NMX__BUF_LEN, port->name.port);
}

static int attach(struct nmx_port *port, struct xdp_port *x, bool last_try, struct nmx_report *why)
{
	int err = load(port, &x->nic, x->interface.num_rx_queues, is_long(x), why);

	if (err < 0)
		return err;
	err = nmx__bpf_link_xdp(x->nic.prog, x->interface.ifindex, XDP_FLAGS_DRV_MODE);
	x->native = err >= 0 || err == -EBUSY;
	if (err >= 0) {
		x->nic.link = err;
		return 0;
	}
	nmx__fd_close(x->nic.prog);
	nmx__fd_close(x->nic.map);
	x->nic.prog = x->nic.map = -1;
	switch (-err) {
	case EBUSY:
		return join(port, x, last_try, why);
	case EPERM:
	case EACCES:
	case ENODEV:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return refused(port, err, ATTACH_RIGHTS, "the XDP program cannot be attached", why);
	default: /* the driver's answer */
		x->native_errno = -err;
		return 0;
	}
}

int nmx__xdp_attach(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	bool wanted = port->name.mode == NMX__ALL_NIC || port->name.mode == NMX__ONE_NIC || port->name.mode == NMX__NIC_HOST;
	int err = TRY_AGAIN;

	x->native = false;
	if (is_long(x) && !(port->options.flags & NMX_TX_ONLY) && !nmx__xsk_takes_chains())
		return too_long(port, x, why); /* before anything is attached: that would stop some devices for a moment */
	if (!wanted || (port->options.flags & NMX_TX_ONLY))
		return 0;
	for (int tries = 1; err == TRY_AGAIN; tries++)
		err = attach(port, x, tries == ATTACH_TRIES, why);
	return err;
}

/* ---- sockets */

static int make_queues(struct nmx__xsk_device *device, uint32_t first, uint32_t rx, uint32_t tx)
{
	device->num_queues = rx > tx ? rx : tx;
	device->queues = calloc(device->num_queues ? device->num_queues : 1, sizeof(*device->queues));
	if (!device->queues) {
		device->num_queues = 0;
		return NMX_ERR_NO_MEMORY;
	}
	for (uint32_t i = 0; i < device->num_queues; i++)
		device->queues[i] = (struct nmx__xsk_queue){ .queue = first + i, .rx_fd = i < rx ? NMX__XSK_WANTED : -1,
			                                     .tx_fd = i < tx ? NMX__XSK_WANTED : -1, .claim = -1 };
	return 0;
}

/* How many slots' buffers a queue of rx rings may have with the kernel: those of a ring and its spares. */
static struct nmx__xsk_plan plan_of(const struct nmx_port *port, const struct xdp_port *x, bool may_zero_copy)
{
	uint32_t flags = port->options.flags;

	return (struct nmx__xsk_plan){
		.area = x->seg->area,
		.area_bytes = (size_t)x->device_bufs * NMX__BUF_LEN + NMX__PAGE,
		.buf_stride = NMX__BUF_LEN,
		.rx_entries = 2 * x->rx_slots,
		.tx_entries = x->tx_slots + xdp_spares_of_tx(x->tx_slots),
		.may_zero_copy = may_zero_copy,
		.must_zero_copy = may_zero_copy && (flags & NMX_ZERO_COPY),
		.chains = x->chains,
		.busy_poll = (flags & NMX_BUSY_POLL) != 0,
	};
}

/* Never a receiver that is given the beginnings of packets. */
static int open_sockets(const struct nmx_port *port, struct xdp_port *x, struct xdp_leg *leg, const struct nmx__xsk_plan *plan, uint32_t rx,
                        struct nmx_report *why)
{
	int err = nmx__xsk_open(&leg->device, plan, why);

	if (err < 0)
		return err;
	x->chains = x->chains && leg->device.chains;
	return rx && is_long(x) && !x->chains ? too_long(port, x, why) : 0;
}

static int open_nic(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	uint32_t rx = x->native ? x->rx_queues : 0;
	struct nmx__xsk_plan plan = plan_of(port, x, (x->native || rx == 0) && !*x->interface.kind);
	int err = make_queues(&x->nic.device, x->first_queue, rx, x->tx_rings);

	x->nic.device.ifindex = x->interface.ifindex;
	x->nic.device.name = port->name.port;
	if ((port->options.flags & NMX_ZERO_COPY) && !plan.may_zero_copy)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%s\": zero copy was insisted on (NMX_ZERO_COPY), and the driver (%s) has none",
		                 port->info.name, *x->interface.kind ? x->interface.kind : x->driver.name);
	if (err < 0 || x->nic.device.num_queues == 0)
		return err;
	return open_sockets(port, x, &x->nic, &plan, rx, why);
}

/* The far end of a pair, with XDP that lives as long as it does. */
static int open_far_end(struct nmx_port *port, struct xdp_port *x, struct xdp_leg *leg, enum nmx__divert_kind kind, bool marks, uint32_t rx,
                        uint32_t tx, struct nmx_report *why)
{
	struct nmx__xsk_plan plan = plan_of(port, x, false);
	int sockets[NMX__NETNS_SOCKETS], err = make_queues(&leg->device, 0, rx, tx);
	uint32_t queues = leg->device.num_queues;

	if (err < 0)
		return err;
	err = nmx__divert_open(&leg->divert, &x->interface, kind, marks, queues, sockets, 2 * queues, why);
	if (err < 0)
		return err;
	leg->diverted = true;
	leg->divert.gives_only = rx == 0;
	leg->device.ifindex = leg->divert.far;
	leg->device.name = port->name.port;
	plan.sockets = sockets;
	for (uint32_t i = 0; i < 2 * queues; i++) /* of those there is no use for */
		if ((i < queues ? i >= rx : i - queues >= tx))
			nmx__fd_close(sockets[i]);
	err = open_sockets(port, x, leg, &plan, rx, why);
	if (err == 0)
		err = load(port, leg, queues, is_long(x), why);
	if (err < 0)
		return err;
	err = nmx__nl_xdp(leg->divert.far_nl, leg->divert.far, leg->prog, XDP_FLAGS_DRV_MODE);
	return err < 0 ? refused(port, err, ATTACH_RIGHTS, "the XDP program of its pair cannot be attached", why) : 0;
}

/* Whether packets that the host is handed would come in again by the way of tc. */
static bool has_wire_pair(struct xdp_port *x)
{
	char name[IFNAMSIZ + 8];
	struct nmx__link link;

	snprintf(name, sizeof(name), "nmxw%d", x->interface.ifindex);
	return x->wire.diverted || nmx__nl_link(x->nl, name, 0, &link) == 0;
}

static bool has_host_pair(const struct xdp_port *x)
{
	char name[IFNAMSIZ + 8];
	struct nmx__link link;

	snprintf(name, sizeof(name), "nmxh%d", x->interface.ifindex);
	return nmx__nl_link(x->nl, name, 0, &link) == 0;
}

int nmx__xdp_open_legs(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err = open_nic(port, x, why);

	if (err == 0 && x->rx_queues && !x->native) {
		if (has_host_pair(x))
			return nmx__fail(why, NMX_ERR_BUSY, 0,
			                 "the host rings of \"%s\" are open, and its driver has no XDP: then what they hand to the host would come in here "
			                 "again; open \"%s\" before \"%s^\", or both as \"%s*\"",
			                 port->name.port, port->name.port, port->name.port, port->name.port);
		err = open_far_end(port, x, &x->wire, NMX__DIVERT_WIRE, false, x->rx_queues, 0, why);
	}
	if (err == 0 && x->host_rx_rings + x->host_tx_rings)
		err = open_far_end(port, x, &x->host, NMX__DIVERT_HOST, has_wire_pair(x), x->host_queues, x->host_tx_rings, why);
	if (err < 0 && why && !*why->text)
		nmx__fail(why, err, 0, "cannot open \"%s\": %s", port->info.name, nmx_strerror(err));
	return err;
}

/* ---- starting */

static int start_leg(const struct nmx_port *port, struct xdp_leg *leg, struct nmx_report *why)
{
	int err = 0;

	for (uint32_t i = 0; i < leg->device.num_queues && err == 0; i++)
		if (leg->map >= 0 && leg->device.queues[i].rx_fd >= 0)
			err = nmx__bpf_xsk_map_set(leg->map, leg->device.queues[i].queue, leg->device.queues[i].rx_fd);
	if (err < 0)
		return refused(port, err, ATTACH_RIGHTS, "the kernel does not take the sockets into the map", why);
	return leg->diverted ? nmx__divert_start(&leg->divert, why) : 0;
}

/* What is for others comes in too, for as long as the descriptor is open. */
static int be_promiscuous(const struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	struct packet_mreq request = { .mr_ifindex = x->interface.ifindex, .mr_type = PACKET_MR_PROMISC };

	nmx__fork_hold();
	x->membership = nmx__fd_track_held(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
	nmx__fork_let();
	if (x->membership < 0 || setsockopt(x->membership, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) < 0)
		return refused(port, -errno, NMX__RIGHT_RAW, "it cannot be made promiscuous", why);
	return 0;
}

int nmx__xdp_start_legs(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err = 0;

	if ((port->options.flags & NMX_PROMISC) && x->rx_queues)
		err = be_promiscuous(port, x, why);
	if (err == 0)
		err = start_leg(port, &x->nic, why);
	if (err == 0)
		err = start_leg(port, &x->wire, why);
	if (err == 0)
		err = start_leg(port, &x->host, why);
	return err;
}

/* ---- closing */

static void shut_leg(struct xdp_leg *leg)
{
	if (leg->diverted)
		nmx__divert_close(&leg->divert);
	leg->diverted = false;
	nmx__xsk_close(&leg->device);
	free(leg->device.queues);
	leg->device = (struct nmx__xsk_device){ 0 };
}

static void detach(struct xdp_leg *leg)
{
	nmx__fd_close(leg->link);
	nmx__fd_close(leg->prog);
	nmx__fd_close(leg->map);
	leg->link = leg->prog = leg->map = -1;
}

void nmx__xdp_shut_legs(struct xdp_port *x)
{
	shut_leg(&x->host);
	shut_leg(&x->wire);
	shut_leg(&x->nic);
	detach(&x->wire);
	detach(&x->host);
}

void nmx__xdp_close_legs(struct xdp_port *x)
{
	detach(&x->nic); /* first: from here on the host has its packets again */
	nmx__xdp_shut_legs(x);
	nmx__fd_close(x->membership);
	nmx__fd_close(x->nl);
	x->membership = x->nl = -1;
}
