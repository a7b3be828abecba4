/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports of a learning switch, "vale0:a", as in vale(4): made by opening them, in any process; the sender's sync does the
 * work.  What is for one port moves by an exchange of buffers, what is for several is copied. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/switch.h"
#include "base/fork.h"
#include "base/report.h"

#define DEFAULT_SLOTS 256u /* so that a switch with all its ports fits into a segment of the default size */

/* ---- open: what is asked for */

static int check_range(uint32_t value, uint32_t low, uint32_t high, const char *what, struct nmx_report *why)
{
	if (value == 0 || (value >= low && value <= high))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u %s: a port of a switch has %u to %u", value, what, low, high);
}

int nmx__switch_check_shape(uint32_t tx_rings, uint32_t rx_rings, uint32_t tx_slots, uint32_t rx_slots, struct nmx_report *why)
{
	int err;

	if ((err = check_range(tx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "transmit slots", why)) < 0 ||
	    (err = check_range(rx_slots, NMX__MIN_SLOTS, NMX__MAX_SLOTS, "receive slots", why)) < 0 ||
	    (err = check_range(tx_rings, 1, NMX__PORT_RINGS, "transmit rings", why)) < 0 ||
	    (err = check_range(rx_rings, 1, NMX__PORT_RINGS, "receive rings", why)) < 0)
		return err;
	return 0;
}

static int switch_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	const struct nmx_options *o = &port->options;

	if (name->mode != NMX__ALL_NIC)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": a port of a switch has no host rings and is opened with all its rings; write \"%s\" alone", name->port,
		                 name->port);
	if (name->flags & (NMX__NAME_ZCOPY_MON | NMX__NAME_MON_TX | NMX__NAME_MON_RX))
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": monitors need the netmap device", name->port);
	if (name->mem_id || *name->extmem || *name->share || name->has_offset || name->host_tx_rings || name->host_rx_rings)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "\"%s\": memory ids, @share, @extmem, @offset and host rings need the netmap device; @segment= separates memory here",
		                 name->port);
	return nmx__switch_check_shape(o->tx_rings, o->rx_rings, o->tx_slots, o->rx_slots, why);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

struct nmx__port_plan nmx__switch_plan(const char *name, uint32_t tx_rings, uint32_t rx_rings, uint32_t tx_slots, uint32_t rx_slots)
{
	return (struct nmx__port_plan){ .name = name,
		                        .rx_rings = (uint16_t)or_default(rx_rings, 1),
		                        .rx_slots = or_default(rx_slots, or_default(tx_slots, DEFAULT_SLOTS)),
		                        .tx_rings = or_default(tx_rings, 1),
		                        .tx_slots = or_default(tx_slots, or_default(rx_slots, DEFAULT_SLOTS)) };
}

static int same_number(uint32_t asked, uint32_t is, const char *what, const struct nmx_port *port, struct nmx_report *why)
{
	if (asked == 0 || asked == is)
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\" was made with %u %s; %u were asked for (leave it out, or ask for %u)",
	                 port->name.port, is, what, asked, is);
}

/* A port that was made to stay, and is free. */
static int take_over(struct nmx_port *port, struct switch_port *sp, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	int err;

	if ((err = same_number(o->rx_rings, sp->record->rings[0], "receive rings", port, why)) < 0 ||
	    (err = same_number(o->rx_slots, sp->record->slots[0], "receive slots", port, why)) < 0 ||
	    (err = same_number(o->tx_rings, sp->record->tx_rings, "transmit rings", port, why)) < 0 ||
	    (err = same_number(o->tx_slots, sp->record->tx_slots, "transmit slots", port, why)) < 0)
		return err;
	if (!nmx__port_empty(sp->seg, sp->record))
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\": a process was stopped in the middle of sending to it; continue or kill that",
		                 port->name.port);
	return 0;
}

/* Finds the port or makes it, and its switch.  Under the segment lock. */
static int find_record(struct nmx_port *port, struct switch_port *sp, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	struct nmx__port_plan plan = nmx__switch_plan(port->name.port, o->tx_rings, o->rx_rings, o->tx_slots, o->rx_slots);
	char key[NMX__NAME_MAX + 1], holder[96];
	nmx__end_t taken;
	int err;

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(port->name.port, ":"), port->name.port);
	err = nmx__switch_get(sp->seg, key, &sp->home, why);
	if (err < 0)
		return err;
	sp->record = nmx__port_find(sp->seg, sp->home, port->name.port);
	taken = sp->record ? atomic_load(&sp->record->end[1]) : 0;
	if (taken) {
		nmx__member_describe(sp->seg, nmx__end_member(taken), holder, sizeof(holder));
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open already, by %s", port->name.port, holder);
	}
	err = sp->record ? take_over(port, sp, why) : nmx__port_make(sp->seg, sp->home, &plan, &sp->record, why);
	sp->number = err == 0 ? *(const volatile uint16_t *)&sp->record->number : 0;
	if (err == 0 && (!nmx__record_read(sp->seg, sp->record, &sp->geometry) || sp->geometry.kind != NMX__RECORD_PORT ||
	                 sp->number - 1 >= NMX__SWITCH_PORTS))
		err = nmx__fail(why, NMX_ERR_CORRUPT, 0, "the segment \"%s/%s\" holds nonsense about \"%s\"", sp->seg->dir.path, sp->seg->name,
		                port->name.port);
	if (err < 0)
		nmx__switch_drop(sp->seg, sp->home);
	return err;
}

/* ---- open: our rings */

static int make_extent(struct nmx_port *port, struct switch_port *sp, struct nmx_report *why)
{
	struct nmx__extent_plan plan = { .kind = NMX__EXTENT_PORT, .record = sp->record, .end = 1, .attach_gen = sp->attach_gen };
	const volatile struct nmx__record *record = sp->record; /* each is read once */
	uint32_t tx_rings = record->tx_rings, tx_slots = record->tx_slots;

	if (tx_rings - 1 >= NMX__PORT_RINGS || tx_slots < NMX__MIN_SLOTS || tx_slots > NMX__MAX_SLOTS)
		return nmx__fail(why, NMX_ERR_CORRUPT, 0, "the segment holds nonsense about \"%s\"", port->name.port);
	plan.num_tx = port->options.flags & NMX_RX_ONLY ? 0 : tx_rings;
	plan.num_rx = port->options.flags & NMX_TX_ONLY ? 0 : sp->geometry.rings[0];
	plan.num_held = port->info.extra_bufs;
	for (uint32_t i = 0; i < plan.num_tx + plan.num_rx; i++) {
		bool is_tx = i < plan.num_tx;

		plan.ring[i] = (struct nmx__ring_plan){ .slots = is_tx ? tx_slots : sp->geometry.slots[0], .queue = is_tx ? i : i - plan.num_tx,
			                                .ordered = is_tx };
	}
	return nmx__extent_build(&sp->extent, sp->seg, &plan, why);
}

static uint32_t max_frags_of(uint32_t slots) { return slots - 1 < NETMAP_MAX_FRAGS ? slots - 1 : NETMAP_MAX_FRAGS; }

static void fill_handle(struct nmx_port *port, struct switch_ring *r)
{
	struct nmx__qend *end = &r->end;

	if (r->ring.is_tx)
		r->ring.handle.tx = (struct nmx_tx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit,
			                             .num_slots = end->num_slots, .buf_size = end->buf_stride, .max_len = end->max_len,
			                             .region = port->info.region, .max_frags = end->max_frags };
	else
		r->ring.handle.rx = (struct nmx_rx){ .ring = end->ring, .bufs = end->bufs, .transit = &end->own->transit,
			                             .num_slots = end->num_slots, .buf_size = end->buf_stride, .max_len = end->max_len,
			                             .region = port->info.region };
}

static void free_tx(struct switch_tx *tx)
{
	if (!tx)
		return;
	for (uint32_t i = 0; i < NMX__SWITCH_BELLS; i++)
		nmx__bell_close(&tx->bell[i]);
	nmx__process_unwatch(tx->watch);
	free(tx->next);
	free(tx->run);
	free(tx->frags);
	free(tx->flood);
	free(tx->held);
	free(tx->done);
	free(tx);
}

static int make_tx(struct switch_ring *r)
{
	uint32_t n = r->end.num_slots;
	struct switch_tx *tx = calloc(1, sizeof(*tx));

	r->tx = tx;
	if (!tx)
		return NMX_ERR_NO_MEMORY;
	memset(tx->to, 0xff, sizeof(tx->to)); /* NO_PLACE */
	for (uint32_t i = 0; i < NMX__SWITCH_BELLS; i++)
		tx->bell[i] = (struct nmx__bell){ .reader = -1, .writer = -1 };
	tx->watch = -1;
	tx->flood_pps = r->ring.port->options.flood_pps;
	tx->order = nmx__own_order(r->end.own);
	tx->next = calloc(n, sizeof(*tx->next));
	tx->run = calloc(n, sizeof(*tx->run));
	tx->frags = calloc(n, sizeof(*tx->frags));
	tx->flood = calloc(n, sizeof(*tx->flood));
	tx->held = calloc(n, sizeof(*tx->held));
	tx->done = calloc(n, sizeof(*tx->done));
	if (!tx->next || !tx->run || !tx->frags || !tx->flood || !tx->held || !tx->done)
		return NMX_ERR_NO_MEMORY;
	return nmx__switch_send(r, 0); /* brings the free slots */
}

static int make_ring(struct nmx_port *port, struct switch_port *sp, uint32_t i)
{
	bool is_tx = i < sp->extent.own->num_tx;
	uint32_t index = is_tx ? i : i - sp->extent.own->num_tx;
	struct nmx__own_ring *own = nmx__extent_ring(&sp->extent, i);
	struct switch_ring *r = (struct switch_ring *)nmx__port_add_ring(port, is_tx, index);

	if (!r)
		return NMX_ERR_NO_MEMORY;
	r->lane = &sp->record->lane[index];
	r->end = (struct nmx__qend){ .bufs = sp->seg->bufs, .buf_stride = sp->seg->buf_stride, .num_bufs = sp->seg->num_bufs,
		                     .max_len = NMX__BUF_LEN, .max_frags = max_frags_of(own->num_slots),
		                     .chains = (port->options.flags & NMX_CHAINS) != 0 };
	nmx__qend_init(&r->end, own, is_tx ? NULL : nmx__record_queue(sp->seg, sp->record, &sp->geometry, 0, index));
	r->end.ring->ringid = (uint16_t)index;
	nmx__bell_init(&r->end.bell, sp->seg, nmx__record_index(sp->seg, sp->record), index, is_tx ? 't' : 'r');
	r->end.peer_bell = (struct nmx__bell){ .reader = -1, .writer = -1 }; /* senders are many: their lanes' maps say who waits */
	fill_handle(port, r);
	return is_tx ? make_tx(r) : 0;
}

static void fill_info(struct nmx_port *port, const struct switch_port *sp)
{
	struct nmx_info *info = &port->info;

	info->tx_rings = sp->extent.own->num_tx;
	info->rx_rings = sp->extent.own->num_rings - sp->extent.own->num_tx;
	info->tx_slots = sp->record->tx_slots;
	info->rx_slots = sp->geometry.slots[0];
	info->max_len = NMX__BUF_LEN;
	info->max_frags = max_frags_of(info->tx_slots);
	info->flags = (port->options.flags & (NMX_TX_ONLY | NMX_RX_ONLY | NMX_CHAINS | NMX_BLOCKING)) | NMX_EXCLUSIVE | NMX_ZERO_COPY;
	info->region = sp->seg->region;
	info->switch_port = sp->number;
}

/* ---- close */

static void close_rings(struct nmx_port *port)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < port->num_rings[tx]; i++) {
			struct switch_ring *r = switch_ring(port->rings[tx][i]);

			nmx__bell_close(&r->end.bell);
			free_tx(r->tx);
			r->tx = NULL;
		}
}

/* Packets that wait, and whose buffers the program has put elsewhere meanwhile, would hold up the others. */
static void drop_overwritten(struct switch_ring *r)
{
	const struct nmx__qend *e = &r->end;
	uint32_t first = e->hwcur;
	bool lost = false;

	for (uint32_t slot = first, next; slot != r->tx->head; slot = next) {
		next = nmx__next(slot, e->num_slots);
		if (slot == first && r->tx->done[slot]) { /* begins no packet */
			first = next;
			continue;
		}
		lost |= !nmx__seg_has_buf(switch_of(r)->seg, e->ring->slot[slot].buf_idx);
		if ((e->ring->slot[slot].flags & NS_MOREFRAG) && next != r->tx->head)
			continue;
		for (; lost && first != next; first = nmx__next(first, e->num_slots))
			r->tx->done[first] = true;
		NMX__COUNT(e->own, drop_invalid, lost);
		first = next;
		lost = false;
	}
}

/* What waits in rings gets a last chance.  It is delivered, or dropped and counted, for there is nobody left who would wait. */
static void send_the_rest(struct nmx_port *port)
{
	struct switch_port *sp = port->state;

	sp->blocking = false;
	for (uint32_t i = 0; i < port->num_rings[true]; i++) {
		struct switch_ring *r = switch_ring(port->rings[true][i]);

		if (!r->tx->num_held)
			continue;
		r->end.ring->head = r->end.ring->cur = r->tx->head; /* whatever the program wrote there */
		drop_overwritten(r);
		(void)!nmx__switch_send(r, r->tx->head);
	}
}

static void switch_close(struct nmx_port *port)
{
	struct switch_port *sp = port->state;

	send_the_rest(port);
	close_rings(port);
	if (nmx__seg_lock(sp->seg, NULL) == 0) {
		nmx__extent_release(&sp->extent);
		nmx__record_release(sp->seg, sp->record, 1);
		nmx__seg_unlock(sp->seg);
	} else
		nmx__extent_release_later(&sp->extent);
	nmx__seg_put(sp->seg);
	free(sp);
}

/* ---- open */

static int attach(struct nmx_port *port, struct switch_port *sp, struct nmx_report *why)
{
	int err = find_record(port, sp, why);

	if (err < 0)
		return err;
	sp->sw = nmx__switch_of(sp->seg, sp->home);
	sp->fdb = nmx__fdb_of(sp->seg, sp->sw);
	sp->blocking = (port->options.flags & NMX_BLOCKING) != 0;
	sp->attach_gen = nmx__seg_next_gen(sp->seg);
	err = make_extent(port, sp, why);
	if (err < 0)
		goto release;
	fill_info(port, sp); /* the rings' handles take the region from it */
	for (uint32_t i = 0; i < sp->extent.own->num_rings && err == 0; i++)
		err = make_ring(port, sp, i);
	if (err < 0) {
		nmx__fail(why, err, 0, "cannot set up the rings of \"%s\": %s", port->name.port, nmx_strerror(err));
		goto free_extent;
	}
	port->held = nmx__extent_held(&sp->extent, 0);
	port->bufs = sp->seg->bufs;
	port->buf_stride = sp->seg->buf_stride;
	atomic_store(&sp->record->end[1], nmx__end_make(sp->seg->member, sp->attach_gen));
	nmx__port_join(sp->seg, sp->record, sp->attach_gen, port->info.rx_rings == 0);
	return 0;

free_extent:
	close_rings(port);
	nmx__extent_release(&sp->extent);
release:
	nmx__record_release(sp->seg, sp->record, 1);
	return err;
}

static int switch_open(struct nmx_port *port, struct nmx_report *why)
{
	struct switch_port *sp = calloc(1, sizeof(*sp));
	int err;

	if (!sp)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open \"%s\"", port->name.port);
	port->state = sp;
	err = nmx__seg_get(&sp->seg, port->options.directory, port->options.segment, port->options.segment_bufs, why);
	if (err < 0)
		goto free_port;
	err = nmx__seg_lock_to_claim(sp->seg, why);
	if (err < 0)
		goto put;
	err = attach(port, sp, why);
	nmx__seg_unlock(sp->seg);
	if (err == 0)
		return 0;
put:
	nmx__seg_put(sp->seg);
free_port:
	free(sp);
	return err;
}

/* ---- counters */

static void switch_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	const struct switch_port *sp = port->state;
	uint64_t sum[NMX__NUM_COUNTERS];

	nmx__totals_read(&sp->record->totals[1], sum);
	nmx__extent_counters(&sp->extent, sum);
	memcpy(stats, sum, sizeof(*stats));
	for (uint32_t i = 0; i < NMX__PORT_RINGS; i++)
		stats->drop_no_buffer += atomic_load(&sp->record->lane[i].drop_full);
}

const struct nmx__backend nmx__switch_backend = {
	.id = NMX_SWITCH,
	.ring_bytes = sizeof(struct switch_ring),
	.check = switch_check,
	.open = switch_open,
	.close = switch_close,
	.sync = nmx__switch_sync,
	.arm = nmx__switch_arm,
	.disarm = nmx__switch_disarm,
	.poll_fds = nmx__switch_poll_fds,
	.release = nmx__switch_release,
	.stats = switch_stats,
	.switches = &nmx__switch_ops,
};
