/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Pipes: two ports, in one process or two, over crossed descriptor queues of a segment.  Lossless: a full queue leaves
 * its sender without free slots.  The queues outlive a user; the next one takes its end over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/pipe.h"
#include "base/fork.h"
#include "base/report.h"

#define DEFAULT_SLOTS 1024u

/* ---- open: what is asked for */

static int check_range(uint32_t value, uint32_t low, uint32_t high, const char *what, struct nmx_report *why)
{
	if (value == 0 || (value >= low && value <= high))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u %s: a pipe has %u to %u", value, what, low, high);
}

static int pipe_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;
	int err;

	if (name->mode != NMX__ALL_NIC)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": a pipe has no host rings and is opened with all its rings; write \"%s\" alone", name->port, name->port);
	if (name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX))
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": monitors need the netmap device", name->port);
	if (name->mem_id || *name->extmem || *name->share || name->has_offset || name->host_tx_rings || name->host_rx_rings)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": memory ids, @share, @extmem, @offset and host rings need the netmap device; @segment= separates memory here",
		                 name->port);
	if (o->flags & NMX_ZERO_COPY)
		nmx__note(why, "\"%s\": pipes never copy; NMX_ZERO_COPY changes nothing", name->port);
	if ((err = check_range(o->tx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "transmit slots", why)) < 0 ||
	    (err = check_range(o->rx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "receive slots", why)) < 0 ||
	    (err = check_range(o->tx_rings, 1, NMX__MAX_RINGS, "transmit rings", why)) < 0 ||
	    (err = check_range(o->rx_rings, 1, NMX__MAX_RINGS, "receive rings", why)) < 0)
		return err;
	return 0;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

/* Of a pipe that this open makes: the other end gets the mirror image. */
static struct nmx__record_geometry new_geometry(const struct nmx_options *o, uint32_t end)
{
	struct nmx__record_geometry g = { .kind = NMX__RECORD_PIPE };

	g.rings[end] = (uint16_t)or_default(o->tx_rings, 1);
	g.rings[!end] = (uint16_t)or_default(o->rx_rings, 1);
	g.slots[end] = or_default(o->tx_slots, or_default(o->rx_slots, DEFAULT_SLOTS));
	g.slots[!end] = or_default(o->rx_slots, or_default(o->tx_slots, DEFAULT_SLOTS));
	return g;
}

static int same_number(uint32_t asked, uint32_t is, const char *what, const struct nmx_port *port, struct nmx_report *why)
{
	if (asked == 0 || asked == is)
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\" exists already, with %u %s; %u were asked for (leave it out, or ask for %u)",
	                 port->name.port, is, what, asked, is);
}

/* Finds the pipe or makes it, and checks that our end is free.  Under the segment lock. */
static int find_record(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	char key[2 * NMX__NAME_MAX + 4], holder[96];
	nmx__end_t taken;
	int err;

	snprintf(key, sizeof(key), "%s{%s", port->name.base, port->name.pipe);
	pipe->record = nmx__record_find(pipe->seg, NMX__RECORD_PIPE, key);
	if (!pipe->record) {
		pipe->geometry = new_geometry(o, pipe->end);
		return nmx__record_make(pipe->seg, &(struct nmx__record_plan){ .name = key, .geometry = pipe->geometry }, &pipe->record, why);
	}
	if (!nmx__record_read(pipe->seg, pipe->record, &pipe->geometry) || pipe->geometry.kind != NMX__RECORD_PIPE)
		return nmx__fail(why, NMX_ERR_CORRUPT, 0, "the segment \"%s/%s\" holds nonsense about the pipe \"%s\"", pipe->seg->dir.path,
		                 pipe->seg->name, key);
	taken = atomic_load(&pipe->record->end[pipe->end]);
	if (taken) {
		nmx__member_describe(pipe->seg, nmx__end_member(taken), holder, sizeof(holder));
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open already, by %s", port->name.port, holder);
	}
	if ((err = same_number(o->tx_rings, pipe->geometry.rings[pipe->end], "transmit rings", port, why)) < 0 ||
	    (err = same_number(o->rx_rings, pipe->geometry.rings[!pipe->end], "receive rings", port, why)) < 0 ||
	    (err = same_number(o->tx_slots, pipe->geometry.slots[pipe->end], "transmit slots", port, why)) < 0 ||
	    (err = same_number(o->rx_slots, pipe->geometry.slots[!pipe->end], "receive slots", port, why)) < 0)
		return err;
	return 0;
}

/* ---- open: our rings */

/* The extent of our own file that holds the rings and spares, with a buffer in each place. */
static int make_extent(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	const struct nmx__record_geometry *g = &pipe->geometry;
	struct nmx__extent_plan plan = { .kind = NMX__EXTENT_PORT, .record = pipe->record, .end = pipe->end, .attach_gen = pipe->attach_gen };

	plan.num_tx = port->options.flags & NMX_RX_ONLY ? 0 : g->rings[pipe->end];
	plan.num_rx = port->options.flags & NMX_TX_ONLY ? 0 : g->rings[!pipe->end];
	plan.num_held = port->info.extra_bufs;
	for (uint32_t i = 0; i < plan.num_tx + plan.num_rx; i++) {
		uint32_t from = i < plan.num_tx ? pipe->end : !pipe->end, index = i < plan.num_tx ? i : i - plan.num_tx;

		plan.ring[i] = (struct nmx__ring_plan){ .slots = g->slots[from], .queue = nmx__record_queue_number(g, from, index) };
	}
	return nmx__extent_build(&pipe->extent, pipe->seg, &plan, why);
}

static void fill_handle(struct nmx_port *port, struct pipe_ring *r)
{
	struct nmx__qend *end = &r->end;
	struct nmx_tx *tx = &r->ring.handle.tx;
	struct nmx_rx *rx = &r->ring.handle.rx;

	if (r->ring.is_tx)
		*tx = (struct nmx_tx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit, .num_slots = end->num_slots,
			               .buf_size = end->buf_stride, .max_len = end->max_len, .region = port->info.region,
			               .max_frags = end->max_frags };
	else
		*rx = (struct nmx_rx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit, .num_slots = end->num_slots,
			               .buf_size = end->buf_stride, .max_len = end->max_len, .region = port->info.region };
}

static uint32_t max_frags_of(uint32_t slots) { return slots - 1 < NETMAP_MAX_FRAGS ? slots - 1 : NETMAP_MAX_FRAGS; }

static int make_ring(struct nmx_port *port, struct pipe_port *pipe, uint32_t i)
{
	bool is_tx = i < pipe->extent.own->num_tx;
	uint32_t index = is_tx ? i : i - pipe->extent.own->num_tx, from = is_tx ? pipe->end : !pipe->end;
	struct nmx__own_ring *own = nmx__extent_ring(&pipe->extent, i);
	struct pipe_ring *r = (struct pipe_ring *)nmx__port_add_ring(port, is_tx, index);

	if (!r)
		return NMX_ERR_NO_MEMORY;
	r->peer_watch = -1;
	r->peer_seen = peer_now(pipe);
	r->gone_told = last_gone(pipe);
	r->end = (struct nmx__qend){ .bufs = pipe->seg->bufs, .buf_stride = pipe->seg->buf_stride, .num_bufs = pipe->seg->num_bufs,
		                     .max_len = NMX__BUF_LEN, .max_frags = max_frags_of(own->num_slots),
		                     .chains = (port->options.flags & NMX_CHAINS) != 0 };
	nmx__qend_init(&r->end, own, nmx__record_queue(pipe->seg, pipe->record, &pipe->geometry, from, index));
	r->end.ring->ringid = (uint16_t)index;
	nmx__bell_init(&r->end.bell, pipe->seg, nmx__record_index(pipe->seg, pipe->record), own->queue, is_tx ? 't' : 'r');
	nmx__bell_init(&r->end.peer_bell, pipe->seg, nmx__record_index(pipe->seg, pipe->record), own->queue, is_tx ? 'r' : 't');
	fill_handle(port, r);
	return is_tx ? nmx__queue_send(&r->end) : 0; /* brings the free slots */
}

static void fill_info(struct nmx_port *port, const struct pipe_port *pipe)
{
	struct nmx_info *info = &port->info;

	info->tx_rings = pipe->extent.own->num_tx;
	info->rx_rings = pipe->extent.own->num_rings - pipe->extent.own->num_tx;
	info->tx_slots = pipe->geometry.slots[pipe->end];
	info->rx_slots = pipe->geometry.slots[!pipe->end];
	info->max_len = NMX__BUF_LEN;
	info->max_frags = max_frags_of(info->tx_slots);
	info->flags = (port->options.flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS)) | NMX_EXCLUSIVE | NMX_ZERO_COPY;
	info->region = pipe->seg->region;
}

/* ---- close */

static void close_rings(struct nmx_port *port)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct pipe_ring *r = pipe_ring(port->rings[tx][i]);

			nmx__bell_close(&r->end.bell);
			nmx__bell_close(&r->end.peer_bell);
			nmx__process_unwatch(r->peer_watch);
		}
}

static void pipe_close(struct nmx_port *port)
{
	struct pipe_port *pipe = port->state;

	close_rings(port);
	if (nmx__seg_lock(pipe->seg, NULL) == 0) {
		nmx__extent_release(&pipe->extent);
		nmx__record_release(pipe->seg, pipe->record, pipe->end);
		if (atomic_load(&pipe->record->live))
			nmx__record_wake(pipe->seg, pipe->record);
		nmx__seg_unlock(pipe->seg);
	} else
		nmx__extent_release_later(&pipe->extent);
	nmx__seg_put(pipe->seg);
	free(pipe);
}

/* ---- open */

static int attach(struct nmx_port *port, struct pipe_port *pipe, struct nmx_report *why)
{
	int err = find_record(port, pipe, why);

	if (err < 0)
		return err;
	pipe->attach_gen = nmx__seg_next_gen(pipe->seg);
	err = make_extent(port, pipe, why);
	if (err < 0)
		goto release;
	fill_info(port, pipe); /* the rings' handles take the region from it */
	for (uint32_t i = 0; i < pipe->extent.own->num_rings && err == 0; i++)
		err = make_ring(port, pipe, i);
	if (err < 0) {
		nmx__fail(why, err, 0, "cannot set up the rings of \"%s\": %s", port->name.port, nmx_strerror(err));
		goto free_extent;
	}
	port->held = nmx__extent_held(&pipe->extent, 0);
	port->bufs = pipe->seg->bufs;
	port->buf_stride = pipe->seg->buf_stride;
	atomic_store(&pipe->record->end[pipe->end], nmx__end_make(pipe->seg->member, pipe->attach_gen));
	nmx__record_wake(pipe->seg, pipe->record); /* who sleeps wants to watch us */
	return 0;

free_extent:
	nmx__extent_release(&pipe->extent);
release:
	nmx__record_release(pipe->seg, pipe->record, pipe->end);
	return err;
}

static int pipe_open(struct nmx_port *port, struct nmx_report *why)
{
	struct pipe_port *pipe;
	int err;

	pipe = calloc(1, sizeof(*pipe));
	if (!pipe)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open \"%s\"", port->name.port);
	pipe->end = port->name.end == '}';
	port->state = pipe;
	err = nmx__seg_get(&pipe->seg, port->options.directory, port->options.segment, port->options.segment_bufs, why);
	if (err < 0)
		goto free_pipe;
	err = nmx__seg_lock_to_claim(pipe->seg, why);
	if (err < 0)
		goto put;
	err = attach(port, pipe, why);
	nmx__seg_unlock(pipe->seg);
	if (err == 0)
		return 0;
put:
	nmx__seg_put(pipe->seg);
free_pipe:
	free(pipe);
	return err;
}

/* ---- counters */

static void pipe_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	const struct pipe_port *pipe = port->state;
	uint64_t sum[NMX__NUM_COUNTERS];

	nmx__totals_read(&pipe->record->totals[pipe->end], sum);
	nmx__extent_counters(&pipe->extent, sum);
	memcpy(stats, sum, sizeof(*stats));
}

const struct nmx__backend nmx__pipe_backend = {
	.id = NMX_PIPE,
	.ring_bytes = sizeof(struct pipe_ring),
	.check = pipe_check,
	.open = pipe_open,
	.close = pipe_close,
	.sync = nmx__pipe_sync,
	.arm = nmx__pipe_arm,
	.disarm = nmx__pipe_disarm,
	.poll_fds = nmx__pipe_poll_fds,
	.release = nmx__pipe_release,
	.stats = pipe_stats,
};
