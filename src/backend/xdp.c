/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ports of network interfaces by AF_XDP.  A port has one to three legs, each a set of sockets of one interface: the NIC
 * itself; where its driver has no XDP of its own, the far end of a pair to which tc leads what it receives; and for host
 * rings the far end of such a pair for the host's packets (xsk/divert.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <linux/rtnetlink.h>

#include "backend/xdp.h"
#include "base/fork.h"
#include "base/report.h"
#include "xsk/numa.h"

#define DEFAULT_SLOTS  1024u
#define DEVICE_BUFS    32768u /* registered with a device, if the segment has so many: what comes from other ports should be among them */

/* ---- what is asked for */

static int unsupported(const struct nmx_port *port, const char *what, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": %s needs the netmap device", port->info.name, what);
}

static int check_range(const struct nmx_port *port, uint32_t value, uint32_t low, uint32_t high, const char *what, struct nmx_report *why)
{
	if (value == 0 || (value >= low && value <= high))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": %u %s; there can be %u to %u", port->info.name, value, what, low, high);
}

static int xdp_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;
	int err;

	if (strlen(name->port) >= IFNAMSIZ)
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no interface \"%s\": their names have at most %d characters", name->port, IFNAMSIZ - 1);
	if (name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX))
		return unsupported(port, "a monitor", why);
	if (name->mem_id || *name->extmem || *name->share || name->has_offset)
		return unsupported(port, "a memory id, @share, @extmem or @offset", why);
	if (name->mode == NMX__ONE_HOST && name->ring > 0)
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%s^%u\": the host rings of an interface are opened together: \"%s^\"",
		                 name->port, name->ring, name->port);
	if ((o->flags & NMX_ZERO_COPY) && name->mode != NMX__ALL_NIC && name->mode != NMX__ONE_NIC)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%s\": host rings are always copied by the kernel; leave NMX_ZERO_COPY out",
		                 port->info.name);
	if ((err = check_range(port, o->tx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "transmit slots", why)) < 0 ||
	    (err = check_range(port, o->rx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "receive slots", why)) < 0 ||
	    (err = check_range(port, o->tx_rings, 1, NMX__MAX_RINGS, "transmit rings", why)) < 0 ||
	    (err = check_range(port, o->rx_rings, 1, NMX__MAX_RINGS, "receive rings", why)) < 0 ||
	    (err = check_range(port, name->host_tx_rings, 1, NMX__NETNS_SOCKETS / 2, "host transmit rings", why)) < 0 ||
	    (err = check_range(port, name->host_rx_rings, 1, NMX__NETNS_SOCKETS / 2, "host receive rings", why)) < 0)
		return err;
	return 0;
}

static bool wants_nic(const struct nmx_port *port) { return port->name.mode != NMX__HOST && port->name.mode != NMX__ONE_HOST; }
static bool wants_host(const struct nmx_port *port) { return port->name.mode != NMX__ALL_NIC && port->name.mode != NMX__ONE_NIC; }
static bool wants_rx(const struct nmx_port *port) { return !(port->options.flags & NMX_TX_ONLY); }
static bool wants_tx(const struct nmx_port *port) { return !(port->options.flags & NMX_RX_ONLY); }

/* ---- the interface */

static int cannot_ask(const struct nmx_port *port, int err, const char *what, struct nmx_report *why)
{
	bool used_up = err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;

	return nmx__fail(why, used_up ? NMX_ERR_NO_MEMORY : NMX_ERR_IO, -err, "cannot ask for %s \"%s\"", what, port->name.port);
}

static int read_interface(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err = x->nl = nmx__nl_open(0);

	if (err >= 0)
		err = nmx__nl_link(x->nl, port->name.port, 0, &x->interface);
	if (err == -ENODEV)
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no interface \"%s\" here (ip link lists them)%s", port->name.port,
		                 nmx__name_hint(port->name.port));
	if (err < 0)
		return cannot_ask(port, err, "the interface", why);
	if ((x->interface.flags & IFF_LOOPBACK) && wants_host(port))
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0,
		                 "\"%s\": the host rings of a loopback interface cannot be served: the host drops what comes back to it there",
		                 port->info.name);
	err = nmx__driver_read(x->interface.name, &x->driver);
	if (err < 0)
		return cannot_ask(port, err, "the driver of", why);
	port->info.numa_node = x->driver.numa_node;
	if (!(x->interface.flags & IFF_UP))
		nmx__note(why, "\"%s\" is down: ip link set dev %s up", port->name.port, port->name.port);
	return 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

static int too_many_rings(const struct nmx_port *port, const char *way, uint32_t asked, uint32_t queues, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0,
	                 "\"%s\" has %u %s queue%s, and %u %s rings were asked for: ask for fewer, or make more queues (ethtool -L %s combined %u, "
	                 "or rx %u tx %u, if it was made with as many)",
	                 port->info.name, queues, way, queues == 1 ? "" : "s", asked, way, port->name.port, asked, asked, asked);
}

/* Which queues and how many rings.  Fewer rings than queues share them out. */
static int plan_rings(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	bool one = port->name.mode == NMX__ONE_NIC;
	uint32_t rx_queues = x->native ? max_u32(x->driver.rx_queues, 1) : 1, tx_queues = max_u32(x->driver.tx_queues, 1);

	x->first_queue = one ? port->name.ring : 0;
	if (one && (!x->native && wants_rx(port)))
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": the driver of %s has no XDP, so its queues cannot be told apart: open \"%s\"",
		                 port->info.name, port->name.port, port->name.port);
	if (one && port->name.ring >= max_u32(rx_queues, tx_queues))
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%s\" has no queue %u: its queues are 0 to %u", port->name.port, port->name.ring,
		                 max_u32(rx_queues, tx_queues) - 1);
	x->rx_queues = !wants_nic(port) || !wants_rx(port) ? 0 : one ? port->name.ring < rx_queues : rx_queues;
	x->tx_queues = !wants_nic(port) || !wants_tx(port) ? 0 : one ? port->name.ring < tx_queues : tx_queues;
	x->rx_rings = min_u32(or_default(o->rx_rings, x->rx_queues), NMX__MAX_RINGS);
	x->tx_rings = min_u32(or_default(o->tx_rings, x->tx_queues), NMX__MAX_RINGS);
	if (x->rx_queues && x->rx_rings > x->rx_queues)
		return too_many_rings(port, "receive", x->rx_rings, x->rx_queues, why);
	if (x->tx_queues && x->tx_rings > x->tx_queues)
		return too_many_rings(port, "transmit", x->tx_rings, x->tx_queues, why);
	x->rx_rings = min_u32(x->rx_rings, x->rx_queues);
	x->tx_rings = min_u32(x->tx_rings, x->tx_queues);
	x->host_rx_rings = wants_host(port) && wants_rx(port) ? or_default(port->name.host_rx_rings, 1) : 0;
	x->host_tx_rings = wants_host(port) && wants_tx(port) ? or_default(port->name.host_tx_rings, 1) : 0;
	x->host_queues = x->host_rx_rings ? max_u32(x->host_rx_rings, x->host_tx_rings) : 0;
	x->rx_slots = or_default(o->rx_slots, or_default(o->tx_slots, DEFAULT_SLOTS));
	x->tx_slots = or_default(o->tx_slots, or_default(o->rx_slots, DEFAULT_SLOTS));
	if (x->rx_rings + x->host_rx_rings > NMX__MAX_RINGS || x->tx_rings + x->host_tx_rings > NMX__MAX_RINGS)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": a port has at most %u rings each way", port->info.name, NMX__MAX_RINGS);
	return 0;
}

/* ---- memory */

static uint32_t share(uint32_t queues, uint32_t rings, uint32_t ring) { return (queues - ring + rings - 1) / rings; }

/* Receive ring i has queues i, i + rings, ...: so many. */
static uint32_t sources_of(const struct xdp_port *x, uint32_t ring)
{
	return ring < x->rx_rings ? share(x->rx_queues, x->rx_rings, ring) : share(x->host_queues, x->host_rx_rings, ring - x->rx_rings);
}

/* With each queue of a ring a ring's worth of buffers stays with the kernel while the user holds another. */
static uint32_t spares_of_rx(const struct xdp_port *x, uint32_t ring) { return sources_of(x, ring) * x->rx_slots; }

static int plan_extent(const struct nmx_port *port, const struct xdp_port *x, struct nmx__extent_plan *plan, uint32_t registered)
{
	uint64_t bufs = port->info.extra_bufs;

	*plan = (struct nmx__extent_plan){ .kind = NMX__EXTENT_DEVICE, .num_tx = x->tx_rings + x->host_tx_rings,
		                           .num_rx = x->rx_rings + x->host_rx_rings, .attach_gen = nmx__seg_next_gen(x->seg) };
	for (uint32_t i = 0; i < plan->num_tx + plan->num_rx; i++) {
		bool is_tx = i < plan->num_tx;

		plan->ring[i] = (struct nmx__ring_plan){ .slots = is_tx ? x->tx_slots : x->rx_slots, .held_bufs = registered };
		bufs += is_tx ? xdp_spares_of_tx(x->tx_slots) : spares_of_rx(x, i - plan->num_tx);
	}
	plan->num_held = (uint32_t)min_u64(bufs, UINT32_MAX);
	return bufs <= NMX__MAX_BUFS ? 0 : NMX_ERR_NO_MEMORY;
}

/* With marks for the first `registered` buffers. */
static int build_extent(struct nmx_port *port, struct xdp_port *x, uint32_t registered, struct nmx_report *why)
{
	struct nmx__extent_plan plan;
	int err = plan_extent(port, x, &plan, registered);

	return err < 0 ? nmx__fail(why, err, 0, "\"%s\": so many rings and slots need more buffers than there can be", port->info.name)
	               : nmx__extent_build(&x->extent, x->seg, &plan, why);
}

/* As many again as the port takes, for what other ports send here. */
static uint32_t bufs_to_register(const struct nmx_port *port, const struct xdp_port *x)
{
	struct nmx__extent_plan plan;
	uint64_t bufs;

	(void)plan_extent(port, x, &plan, 0);
	bufs = plan.num_held + (uint64_t)plan.num_tx * x->tx_slots + (uint64_t)plan.num_rx * x->rx_slots;
	return (uint32_t)min_u64(x->seg->num_bufs, (2 * bufs + DEVICE_BUFS - 1) / DEVICE_BUFS * DEVICE_BUFS);
}

/* Claims what the port needs, and decides how much of the segment the devices get: so much that what other ports send
 * here is mostly among it, if there is so much; in the end as much as is needed. */
static int make_extent(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	uint32_t marked = bufs_to_register(port, x), end = 0;
	int err = build_extent(port, x, marked, why);

	if (err == 0 && (end = nmx__extent_bufs_end(&x->extent)) > marked) {
		nmx__extent_release(&x->extent);
		marked = x->seg->num_bufs; /* what is claimed now may be others than those of before */
		err = build_extent(port, x, marked, why);
		end = err == 0 ? nmx__extent_bufs_end(&x->extent) : 0;
	}
	if (err < 0)
		return err;
	x->device_bufs = min_u32(marked, max_u32(bufs_to_register(port, x), (end + DEVICE_BUFS - 1) / DEVICE_BUFS * DEVICE_BUFS));
	if (nmx__seg_reserve_for_device(x->seg, x->device_bufs, NULL) == 0)
		return 0;
	x->device_bufs = end;
	err = nmx__seg_reserve_for_device(x->seg, x->device_bufs, why);
	if (err < 0)
		nmx__extent_release(&x->extent);
	return err;
}

static int take_memory(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err = nmx__seg_get(&x->seg, port->options.directory, port->options.segment, port->options.segment_bufs, why);

	x->chains = (port->options.flags & NMX_CHAINS) || x->interface.mtu + 18 > NMX__BUF_LEN;
	if (err < 0)
		return err;
	if (x->seg->buf_stride != NMX__BUF_LEN) /* of another making: this library makes no such */
		err = nmx__fail(why, NMX_ERR_CORRUPT, 0, "the segment \"%s\" has buffers of %u bytes, and interfaces need %u: name another with @segment=",
		                x->seg->name, x->seg->buf_stride, NMX__BUF_LEN);
	if (err == 0)
		err = nmx__seg_lock_to_claim(x->seg, why);
	if (err == 0) {
		err = make_extent(port, x, why);
		nmx__seg_unlock(x->seg);
	}
	if (err < 0) {
		nmx__seg_put(x->seg);
		x->extent.own = NULL;
	}
	return err;
}

/* The sockets are closed: the kernel has let go of everything. */
static void give_memory_back(struct xdp_port *x)
{
	if (nmx__seg_lock(x->seg, NULL) == 0) {
		nmx__extent_release(&x->extent);
		nmx__seg_unlock(x->seg);
	} else
		nmx__extent_release_later(&x->extent);
	nmx__seg_put(x->seg);
}

/* ---- rings */

static void fill_handle(const struct nmx_port *port, struct xdp_ring *r)
{
	struct nmx_tx *tx = &r->ring.handle.tx;
	struct nmx_rx *rx = &r->ring.handle.rx;

	if (r->ring.is_tx)
		*tx = (struct nmx_tx){ .ring = r->nring, .bufs = r->bufs, .transit = &r->own->transit, .num_slots = r->num_slots,
			               .buf_size = NMX__BUF_LEN, .max_len = r->max_len, .region = port->info.region, .max_frags = r->max_frags };
	else
		*rx = (struct nmx_rx){ .ring = r->nring, .bufs = r->bufs, .transit = &r->own->transit, .num_slots = r->num_slots,
			               .buf_size = NMX__BUF_LEN, .max_len = r->max_len, .region = port->info.region };
}

/* The queues of receive ring i. */
static int take_sources(struct xdp_ring *r, struct nmx__xsk_device *device, uint32_t first, uint32_t step)
{
	uint32_t n = (device->num_queues - first + step - 1) / step, at = 0;
	struct epoll_event event = { .events = EPOLLIN };

	r->sources = calloc(n, sizeof(*r->sources));
	if (!r->sources)
		return NMX_ERR_NO_MEMORY;
	for (uint32_t i = first; i < device->num_queues && device->queues[i].rx_fd >= 0; i += step)
		r->sources[at++].queue = &device->queues[i];
	r->num_sources = at;
	if (at == 0)
		return NMX_ERR_INVALID_RING_INDEX;
	r->fill_target = (r->num_slots + r->max_spare + at - 1) / at;
	if (at == 1)
		return 0;
	r->gate = nmx__fd_track(epoll_create1(EPOLL_CLOEXEC));
	for (uint32_t i = 0; i < at && r->gate >= 0; i++)
		if (epoll_ctl(r->gate, EPOLL_CTL_ADD, r->sources[i].queue->rx_fd, &event) < 0)
			return NMX_ERR_NO_MEMORY;
	return r->gate < 0 ? NMX_ERR_NO_MEMORY : 0;
}

/* Ring i of its direction; next_spare: the first place in the held table that is nobody's yet. */
static int make_ring(struct nmx_port *port, struct xdp_port *x, bool is_tx, uint32_t i, uint32_t *next_spare)
{
	bool is_host = i >= (is_tx ? x->tx_rings : x->rx_rings);
	struct xdp_leg *leg = is_host ? &x->host : is_tx || x->native ? &x->nic : &x->wire;
	struct xdp_ring *r = (struct xdp_ring *)nmx__port_add_ring(port, is_tx, i);
	uint32_t k = is_host ? i - (is_tx ? x->tx_rings : x->rx_rings) : i;

	if (!r)
		return NMX_ERR_NO_MEMORY;
	r->gate = r->timer = r->nl = -1;
	r->own = nmx__extent_ring(&x->extent, is_tx ? i : x->extent.own->num_tx + i);
	r->nring = nmx__own_netmap_ring(r->own);
	r->nring->ringid = (uint16_t)i;
	r->held = nmx__dring_held(r->own);
	r->spare = nmx__extent_held(&x->extent, *next_spare);
	r->max_spare = r->num_spare = is_tx ? xdp_spares_of_tx(x->tx_slots) : spares_of_rx(x, i);
	*next_spare += r->max_spare;
	r->bufs = x->seg->bufs;
	r->num_bufs = x->seg->num_bufs;
	r->device_bufs = x->device_bufs;
	r->num_slots = r->own->num_slots;
	r->max_len = leg->device.max_len;
	r->chains = leg->device.chains && (port->options.flags & NMX_CHAINS);
	r->max_frags = r->chains ? min_u32(r->num_slots - 1, is_tx ? XDP_MAX_FRAGS : NETMAP_MAX_FRAGS) : 1;
	r->zero_copy = leg->device.zero_copy;
	r->rx_offset = leg->device.rx_offset;
	r->busy_poll = (port->options.flags & NMX_BUSY_POLL) != 0;
	r->repair = !leg->diverted && *x->interface.kind && !(port->options.flags & NMX_RAW_CHECKSUM);
	r->ifindex = x->interface.ifindex;
	r->down = r->down_told = !(x->interface.flags & IFF_UP);
	r->nl = nmx__nl_open(RTMGRP_LINK);
	if (r->nl < 0) {
		errno = -r->nl;
		return NMX_ERR_NO_MEMORY;
	}
	fill_handle(port, r);
	if (!is_tx)
		return take_sources(r, &leg->device, k, is_host ? x->host_rx_rings : x->rx_rings);
	r->queue = &leg->device.queues[k];
	if (!r->zero_copy)
		nmx__xdp_list_sender(r);
	(void)nmx__xdp_push_on(r); /* shows the room */
	return 0;
}

static void close_rings(struct nmx_port *port)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct xdp_ring *r = xdp_ring(port->rings[tx][i]);

			nmx__xdp_unlist_sender(r);
			nmx__fd_close(r->gate);
			nmx__fd_close(r->timer);
			nmx__fd_close(r->nl);
			r->gate = r->timer = r->nl = -1; /* a failed open comes here twice */
			free(r->sources);
			r->sources = NULL;
		}
}

static int make_rings(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	uint32_t next_spare = port->info.extra_bufs;
	int err = 0;

	for (uint32_t i = 0; i < x->tx_rings + x->host_tx_rings && err == 0; i++)
		err = make_ring(port, x, true, i, &next_spare);
	for (uint32_t i = 0; i < x->rx_rings + x->host_rx_rings && err == 0; i++)
		err = make_ring(port, x, false, i, &next_spare);
	if (err < 0)
		return nmx__fail(why, err, errno, "cannot set up the rings of \"%s\"", port->info.name);
	for (uint32_t i = 0; i < port->num_rings[0]; i++)
		nmx__xdp_fill(xdp_ring(port->rings[0][i]));
	return 0;
}

/* ---- what it is */

static void fill_info(struct nmx_port *port, const struct xdp_port *x)
{
	struct nmx_info *info = &port->info;
	const struct nmx__xsk_device *device = wants_nic(port) ? &x->nic.device : &x->host.device;
	uint32_t flags = port->options.flags;

	info->tx_rings = x->tx_rings;
	info->rx_rings = x->rx_rings;
	info->host_tx_rings = x->host_tx_rings;
	info->host_rx_rings = x->host_rx_rings;
	info->tx_slots = x->tx_slots;
	info->rx_slots = x->rx_slots;
	info->max_len = wants_nic(port) && device->zero_copy ? device->max_len : NMX__BUF_LEN;
	info->max_frags = x->chains && (flags & NMX_CHAINS) ? min_u32(XDP_MAX_FRAGS, x->tx_slots - 1) : 1;
	info->flags = (flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS | NMX_PROMISC | NMX_BUSY_POLL | NMX_RAW_CHECKSUM)) | (device->zero_copy ? NMX_ZERO_COPY : 0u);
	info->region = x->seg->region;
	info->mode = !wants_nic(port) ? NMX_MODE_TC : device->zero_copy ? NMX_MODE_ZERO_COPY : x->rx_queues && !x->native ? NMX_MODE_TC : NMX_MODE_COPY;
	info->rx_queues = x->rx_queues;
	info->tx_queues = x->tx_queues;
}

/* What a user should know of a port that is open. */
static void note_mode(struct nmx_port *port, const struct xdp_port *x, struct nmx_report *why)
{
	const char *name = port->info.name;
	bool is_long = x->interface.mtu + 18 > NMX__BUF_LEN;

	if (port->info.mode == NMX_MODE_TC && wants_nic(port))
		nmx__note(why, "\"%s\": the driver (%s) takes no XDP program (%s), so packets are led here by tc, which is slower", name,
		          *x->driver.name ? x->driver.name : "unknown", strerror(x->native_errno));
	if (is_long && !x->chains) /* it only sends: else it would not be open */
		nmx__note(why, "\"%s\" has MTU %u: packets of more than %u bytes are dropped and counted, for this kernel takes none from AF_XDP (Linux 6.6 does)",
		          name, x->interface.mtu, NMX__BUF_LEN);
	else if (is_long && !(port->options.flags & NMX_CHAINS))
		nmx__note(why, "\"%s\" has MTU %u: packets of more than %u bytes are dropped and counted, unless the port is opened with NMX_CHAINS", name,
		          x->interface.mtu, NMX__BUF_LEN);
	if (x->rx_queues && !*x->interface.kind && x->driver.rx_vlan == NMX__FEATURE_ON)
		nmx__note(why, "\"%s\": the device takes VLAN tags out of what it receives, and they are lost: ethtool -K %s rxvlan off", name,
		          port->name.port);
	if (x->device_bufs < DEVICE_BUFS && x->device_bufs < x->seg->num_bufs)
		nmx__note(why,
		          "\"%s\": only %u buffers are registered with it, for lack of memory that may be locked (ulimit -l, or CAP_IPC_LOCK) or "
		          "of room in \"%s\": packets from other ports may have to be copied",
		          name, x->device_bufs, x->seg->dir.path);
}

/* ---- open and close */

/* Once more with as few buffers as possible, where a limit stands in the way. */
static int open_legs(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	uint32_t needed = nmx__extent_bufs_end(&x->extent);
	int err = nmx__xdp_open_legs(port, x, why);

	if (err != NMX_ERR_NO_MEMORY || x->device_bufs == needed)
		return err;
	nmx__xdp_shut_legs(x);
	nmx__report_clear(why);
	x->device_bufs = needed;
	return nmx__xdp_open_legs(port, x, why);
}

static int set_up(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err;

	if ((err = nmx__xdp_attach(port, x, why)) < 0 || (err = plan_rings(port, x, why)) < 0 || (err = take_memory(port, x, why)) < 0 ||
	    (err = open_legs(port, x, why)) < 0)
		return err;
	fill_info(port, x);
	if ((err = make_rings(port, x, why)) < 0 || (err = nmx__xdp_start_legs(port, x, why)) < 0)
		return err;
	port->held = nmx__extent_held(&x->extent, 0);
	port->bufs = x->seg->bufs;
	port->buf_stride = x->seg->buf_stride;
	note_mode(port, x, why);
	return 0;
}

/* Buffers, rings and what the kernel keeps for them come from the interface's node. */
static int open_port(struct nmx_port *port, struct xdp_port *x, struct nmx_report *why)
{
	int err = read_interface(port, x, why);
	bool preferred;

	if (err < 0)
		return err;
	preferred = nmx__numa_prefer(port->info.numa_node);
	err = set_up(port, x, why);
	nmx__numa_restore(preferred);
	return err;
}

/* All of it, or as much as there is. */
static void undo(struct nmx_port *port, struct xdp_port *x)
{
	close_rings(port);
	nmx__xdp_close_legs(x);
	if (x->extent.own)
		give_memory_back(x);
	free(x);
}

static int xdp_open(struct nmx_port *port, struct nmx_report *why)
{
	struct xdp_port *x = calloc(1, sizeof(*x));
	int err;

	if (!x)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open \"%s\"", port->info.name);
	x->nl = x->membership = -1;
	x->nic.map = x->nic.prog = x->nic.link = x->wire.map = x->wire.prog = x->wire.link = x->host.map = x->host.prog = x->host.link = -1;
	port->state = x;
	err = open_port(port, x, why);
	if (err < 0)
		undo(port, x);
	return err;
}

static void xdp_close(struct nmx_port *port) { undo(port, port->state); }

/* ---- counters */

static void add_leg(const struct xdp_leg *leg, struct nmx__xsk_stats *sum)
{
	struct nmx__xsk_stats of_tx = { 0 };

	for (uint32_t i = 0; i < leg->device.num_queues; i++) {
		nmx__xsk_stats(leg->device.queues[i].rx_fd, sum);
		nmx__xsk_stats(leg->device.queues[i].tx_fd, &of_tx);
	}
	sum->invalid_tx += of_tx.invalid_tx; /* the rest is of the fill ring that both share */
}

/* What the interface itself has counted, whoever was the cause. */
static uint64_t device_drops(const struct rtnl_link_stats64 *s)
{
	return s->rx_dropped + s->rx_missed_errors + s->rx_fifo_errors + s->rx_over_errors;
}

/* Some drivers begin again at 0 when the interface goes down, or gets other queues. */
static uint64_t since(uint64_t now, uint64_t then) { return now >= then ? now - then : now; }

static void xdp_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	struct xdp_port *x = port->state;
	uint64_t sum[NMX__NUM_COUNTERS] = { 0 };
	struct nmx__xsk_stats kernel = { 0 };
	uint64_t of_sockets, seen = 0;
	struct nmx__link now;

	nmx__extent_counters(&x->extent, sum);
	memcpy(stats, sum, sizeof(*stats));
	add_leg(&x->nic, &kernel);
	of_sockets = kernel.no_buffer + kernel.ring_full + kernel.too_long_or_other;
	add_leg(&x->wire, &kernel);
	add_leg(&x->host, &kernel);
	stats->drop_no_buffer += kernel.no_buffer;
	stats->drop_full += kernel.ring_full;
	stats->drop_kernel += kernel.too_long_or_other;
	for (uint32_t i = 0; i < port->num_rings[1]; i++)
		stats->drop_kernel += atomic_load_explicit(&xdp_ring(port->rings[1][i])->refused, memory_order_relaxed);
	stats->drop_invalid += kernel.invalid_rx + kernel.invalid_tx;
	pthread_mutex_lock(&port->lock);
	if (x->rx_queues && nmx__nl_link(x->nl, NULL, x->interface.ifindex, &now) == 0)
		seen = since(device_drops(&now.stats), device_drops(&x->interface.stats));
	pthread_mutex_unlock(&port->lock);
	/* A driver counts what a socket did not take, too. */
	stats->drop_device += seen > of_sockets ? seen - of_sockets : 0;
}

const struct nmx__backend nmx__xdp_backend = {
	.id = NMX_XDP,
	.ring_bytes = sizeof(struct xdp_ring),
	.check = xdp_check,
	.open = xdp_open,
	.close = xdp_close,
	.sync = nmx__xdp_sync,
	.go_on = nmx__xdp_go_on,
	.arm = nmx__xdp_arm,
	.disarm = nmx__xdp_disarm,
	.poll_fds = nmx__xdp_poll_fds,
	.release = nmx__xdp_release,
	.stats = xdp_stats,
};
