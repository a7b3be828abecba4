/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports of the netmap device: interfaces, the host's side of them, pipes, switches and monitors, as the kernel has them. */
#include <errno.h>
#include <stdlib.h>

#include <nmx/inspect.h>

#include "backend/netmap.h"
#include "base/fork.h"
#include "base/region.h"
#include "base/report.h"

/* ---- what is asked for */

static int nm_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;

	if (o->segment && *o->segment)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": netmap's memory is no segment; memory ids (\"%s@2\") separate it", port->info.name,
		                 name->port);
	if ((o->flags & NMX_BLOCKING) && name->backend == NMX_SWITCH)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": netmap's switches drop what a full destination has no room for; leave NMX_BLOCKING out",
		                 port->info.name);
	if ((name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX)) && (o->flags & NMX_TX_ONLY))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": a monitor only receives", port->info.name);
	if ((o->flags & NMX_PROMISC) && name->backend == NMX_ANY)
		nmx__note(why, "\"%s\": netmap receives what the interface does; for packets to other addresses: ip link set dev %s promisc on", port->info.name,
		          name->port);
	if (o->tx_rings > UINT16_MAX || o->rx_rings > UINT16_MAX)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": netmap has at most %d rings", port->info.name, UINT16_MAX);
	return 0;
}

/* ---- extra buffers */

/* Takes the list that netmap made: each buffer begins with the index of the next.  None is left: of a process that is killed,
 * the kernel would follow what packets have been written there since, and free buffers of others. */
static int take_extra(struct nmx_port *port, struct nm_port *nm, const struct nm_ring *any, struct nmx_report *why)
{
	uint32_t granted = nm->bound.extra_bufs, at = nm->view.nifp->bufs_head;

	granted = granted < port->options.extra_bufs ? granted : port->options.extra_bufs;
	port->info.extra_bufs = 0;
	nm->took_extra = true;
	for (; at && port->info.extra_bufs < granted; port->info.extra_bufs++) {
		if (!nm_valid_index(any, at))
			return nmx__fail(why, NMX_ERR_CORRUPT, 0, "\"%s\": netmap's list of extra buffers holds nonsense (%u)", port->info.name, at);
		port->held[port->info.extra_bufs] = at;
		memcpy(&at, any->bufs - any->offset + (size_t)at * any->buf_size, sizeof(at));
	}
	nm->view.nifp->bufs_head = 0;
	port->held_count = port->info.extra_bufs;
	if (port->info.extra_bufs < port->options.extra_bufs)
		nmx__note(why, "\"%s\": netmap had %u extra buffers, of %u that were asked for", port->info.name, port->info.extra_bufs, port->options.extra_bufs);
	return 0;
}

/* Gives them back: what is not on the list when the descriptor is closed, netmap never sees again. */
static void give_extra_back(struct nmx_port *port, const struct nm_port *nm, const struct nm_ring *any)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < port->info.extra_bufs; i++) {
		memcpy(any->bufs - any->offset + (size_t)port->held[i] * any->buf_size, &next, sizeof(next));
		next = port->held[i];
	}
	nm->view.nifp->bufs_head = next;
}

/* ---- which memory */

/* Ports of this process, so that those of one memory are of one region.  Changed and walked while nobody forks. */
static struct nm_port *ports;

/* Where packets lie elsewhere in the buffer, an exchange would move the beginning of the packet. */
static void join_region(struct nmx_port *port, struct nm_port *nm, uint64_t offset)
{
	struct nm_port *other;

	nm->offset = offset;
	nm->lends = port->options.extra_bufs > 0;
	nm->region_id = nmx__next_region();
	nmx__fork_hold();
	for (other = ports; other; other = other->next)
		if (other->bound.mem_id == nm->bound.mem_id && other->offset == offset)
			nm->region_id = other->region_id;
	nm->next = ports;
	ports = nm;
	nmx__fork_let();
	for (uint32_t i = 0; i < port->num_rings[0]; i++)
		port->rings[0][i]->handle.rx.region = nm->region_id;
	for (uint32_t i = 0; i < port->num_rings[1]; i++)
		port->rings[1][i]->handle.tx.region = nm->region_id;
}

/* Takes over what `from` has mapped: by a descriptor of its own, for a mapping keeps its port in the kernel. */
static void inherit(struct nm_port *heir, struct nm_mapping **from)
{
	while (*from) {
		struct nm_mapping *m = *from;

		if (!nmx__nm_sys->map(heir->fd, m->region.bytes, m->region.start)) {
			from = &m->next;
			continue;
		}
		*from = m->next;
		m->next = heir->inherited;
		heir->inherited = m;
	}
}

/* Somebody may hold a buffer that was received by this port (nmx_frame_take()), and belongs to another of the same memory:
 * it stays where it is, as long as there is such a port. */
static void leave_region(struct nm_port *nm)
{
	struct nm_port *heir = NULL;

	nmx__fork_hold();
	for (struct nm_port **at = &ports; *at;)
		if (*at == nm)
			*at = nm->next;
		else {
			if ((*at)->lends && (*at)->bound.mem_id == nm->bound.mem_id && !(*at)->extmem)
				heir = *at;
			at = &(*at)->next;
		}
	if (heir && nm->region.start && !nm->extmem) {
		*nm->own = (struct nm_mapping){ .region = nm->region };
		inherit(heir, &nm->own);
		if (!nm->own)
			nm->region.start = NULL;
	}
	if (heir)
		inherit(heir, &nm->inherited);
	nmx__fork_let();
	while (nm->inherited) {
		struct nm_mapping *m = nm->inherited;

		nm->inherited = m->next;
		nmx__nm_sys->unmap(m->region.start, m->region.bytes);
		free(m);
	}
	free(nm->own);
}

/* ---- what it is */

static const struct nm_ring *any_ring(const struct nmx_port *port)
{
	return port->num_rings[0] ? nm_ring(port->rings[0][0]) : port->num_rings[1] ? nm_ring(port->rings[1][0]) : NULL;
}

static uint32_t count_host(const struct nmx_port *port, bool is_tx)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < port->num_rings[is_tx]; i++)
		n += nm_ring(port->rings[is_tx][i])->is_host;
	return n;
}

static void fill_info(struct nmx_port *port, const struct nm_port *nm, const struct nm_ring *any)
{
	struct nmx_info *info = &port->info;

	info->host_tx_rings = count_host(port, true);
	info->host_rx_rings = count_host(port, false);
	info->tx_rings = port->num_rings[1] - info->host_tx_rings;
	info->rx_rings = port->num_rings[0] - info->host_rx_rings;
	info->tx_slots = port->num_rings[1] ? nm_ring(port->rings[1][0])->num_slots : 0;
	info->rx_slots = port->num_rings[0] ? nm_ring(port->rings[0][0])->num_slots : 0;
	info->max_len = any->max_len;
	info->max_frags = port->num_rings[1] ? port->rings[1][0]->handle.tx.max_frags : 1;
	info->flags = (port->options.flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS | NMX_EXCLUSIVE)) | NMX_ZERO_COPY;
	info->region = nm->region_id;
	info->mode = NMX_MODE_NETMAP;
	info->rx_queues = info->rx_rings;
	info->tx_queues = info->tx_rings;
	port->bufs = any->bufs;
	port->buf_stride = any->buf_size;
}

static void note_difference(const struct nmx_port *port, uint32_t asked, uint32_t is, const char *what, struct nmx_report *why)
{
	if (asked && is && asked != is)
		nmx__note(why, "\"%s\" has %u %s, and %u were asked for", port->info.name, is, what, asked);
}

/* Rings of one port lie in one memory, before its buffers; all that we say of those is said of one of them. */
static bool is_uniform(const struct nmx_port *port, const struct nm_port *nm, const struct nm_ring *any)
{
	const struct nmx__nm_view *view = &nm->view;
	const uint8_t *bufs = any->bufs - any->offset;

	if ((const uint8_t *)&view->nifp->ring_ofs[view->tx_rings + view->rx_rings + view->host_tx_rings + view->host_rx_rings] > bufs)
		return false;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			const struct nm_ring *r = nm_ring(port->rings[tx][i]);

			if (r->bufs - r->offset != bufs || r->buf_size != any->buf_size || r->offset != any->offset)
				return false;
			if ((const uint8_t *)&r->nring->slot[r->num_slots] > bufs)
				return false;
		}
	return true;
}

/* What the host leaves to its device, netmap drops on the way to a host ring, and only the kernel's log says so. */
static void note_offloads(const struct nmx_port *port, struct nmx_report *why)
{
	struct nmx_interface_info info;

	if (!port->info.host_rx_rings || nmx_interface_inspect(port->name.port, &info, NULL) < 0)
		return;
	if (info.tx_checksum == NMX_FEATURE_ON || info.tso == NMX_FEATURE_ON)
		nmx__note(why, "\"%s\": netmap drops what the host leaves to the device (checksums, segmentation): ethtool -K %s tx off gso off tso off",
		          port->info.name, port->name.port);
}

/* ---- open and close */

static void nm_close(struct nmx_port *port)
{
	struct nm_port *nm = port->state;
	const struct nm_ring *any = any_ring(port);

	if (nm->region.start)
		nmx__unpoison(nm->region.start, nm->region.bytes);
	if (nm->took_extra && port->held)
		give_extra_back(port, nm, any);
	leave_region(nm);
	nmx__nm_unbind(port, nm);
	free(port->held);
	free(nm);
}

static int open_port(struct nmx_port *port, struct nm_port *nm, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	const struct nm_ring *any;
	int err = nmx__nm_bind(port, nm, why);

	if (err < 0)
		return err;
	any = any_ring(port);
	if (!any)
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%s\": netmap has no such ring", port->info.name);
	if (!is_uniform(port, nm, any))
		return nmx__fail(why, NMX_ERR_CORRUPT, 0, "\"%s\": netmap shows rings of different memories or offsets, or among its buffers", port->info.name);
	nm->region.tables = (size_t)(any->bufs - any->offset - nm->region.start);
	join_region(port, nm, any->offset);
	fill_info(port, nm, any);
	if ((err = take_extra(port, nm, any, why)) < 0)
		return err;
	nmx__poison(port->bufs, (size_t)(any->num_bufs - 1) * any->buf_size); /* until the user gets them */
	note_difference(port, o->tx_rings, port->info.tx_rings, "transmit rings", why);
	note_difference(port, o->rx_rings, port->info.rx_rings, "receive rings", why);
	note_difference(port, o->tx_slots, port->info.tx_slots, "transmit slots", why);
	note_difference(port, o->rx_slots, port->info.rx_slots, "receive slots", why);
	note_offloads(port, why);
	return 0;
}

static int nm_open(struct nmx_port *port, struct nmx_report *why)
{
	struct nm_port *nm = calloc(1, sizeof(*nm));
	int err;

	if (nm)
		nm->own = calloc(1, sizeof(*nm->own));
	if (nm && port->options.extra_bufs)
		port->held = calloc(port->options.extra_bufs, sizeof(*port->held));
	if (!nm || !nm->own || (port->options.extra_bufs && !port->held)) {
		if (nm)
			free(nm->own);
		free(port->held);
		free(nm);
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open \"%s\"", port->info.name);
	}
	nm->fd = nm->host_fd = -1;
	port->state = nm;
	err = open_port(port, nm, why);
	if (err < 0)
		nm_close(port);
	return err;
}

/* ---- counters */

static void nm_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	uint64_t *sum = (uint64_t *)stats;

	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			uint64_t *of = (uint64_t *)&nm_ring(port->rings[tx][i])->stats;

			for (size_t k = 0; k < sizeof(*stats) / sizeof(*sum); k++)
				sum[k] += __atomic_load_n(&of[k], __ATOMIC_RELAXED);
		}
}

const struct nmx__backend nmx__netmap_backend = {
	.id = NMX_NETMAP,
	.ring_bytes = sizeof(struct nm_ring),
	.is_here = nmx__nm_is_here,
	.probe = nmx__nm_probe,
	.explain = nmx__nm_explain,
	.check = nm_check,
	.open = nm_open,
	.close = nm_close,
	.check_out = nmx__nm_check_out,
	.sync = nmx__nm_sync,
	.arm = nmx__nm_arm,
	.disarm = nmx__nm_disarm,
	.poll_fds = nmx__nm_poll_fds,
	.release = nmx__nm_release,
	.stats = nm_stats,
	.switches = &nmx__nm_switches,
};
