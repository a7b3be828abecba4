/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* loop: gives back on receive ring i what its transmit ring i sends.  A pipe to oneself, on private memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/local.h"
#include "base/poison.h"
#include "base/fork.h"
#include "base/report.h"

struct loop_ring {
	struct nmx__ring ring;
	struct nmx__qend end;
};

struct loop_port {
	struct nmx__local local;
	uint32_t rings, slots;
	struct nmx__own_ring *own[2 * NMX__MAX_RINGS];
	int bells[2 * NMX__MAX_RINGS][2]; /* a pipe(2) for each ring to sleep on */
};

static struct loop_ring *loop_ring(struct nmx__ring *ring) { return (struct loop_ring *)ring; }

static int loop_sync(struct nmx__ring *ring)
{
	struct nmx__qend *end = &loop_ring(ring)->end;
	int err = ring->is_tx ? nmx__queue_send(end) : nmx__queue_receive(end);

	return err < 0 ? err : (int)nmx__qend_space(end);
}

static bool has_news(struct nmx__ring *ring, uint32_t slots)
{
	struct nmx__qend *end = &loop_ring(ring)->end;

	return ring->is_tx ? nmx__queue_has_room(end, slots) : nmx__queue_has_packets(end);
}

static _Atomic uint32_t *sleep_word(struct nmx__ring *ring)
{
	struct nmx__queue *queue = loop_ring(ring)->end.queue;

	return ring->is_tx ? &queue->tx_sleep : &queue->rx_sleep;
}

static int loop_arm(struct nmx__ring *ring, uint32_t slots)
{
	if (has_news(ring, slots))
		return 1;
	nmx__bell_drain(&loop_ring(ring)->end.bell);
	nmx__sleep_begin(sleep_word(ring));
	if (!has_news(ring, slots)) {
		NMX__COUNT(loop_ring(ring)->end.own, sleeps, 1);
		return 0;
	}
	nmx__sleep_end(sleep_word(ring));
	return 1;
}

static void loop_disarm(struct nmx__ring *ring) { nmx__sleep_end(sleep_word(ring)); }

static int loop_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS])
{
	fds[0] = (struct pollfd){ .fd = loop_ring(ring)->end.bell.reader, .events = POLLIN };
	return 1;
}

static void loop_release(struct nmx__ring *ring) { nmx__queue_released(&loop_ring(ring)->end); }

static void loop_close(struct nmx_port *port)
{
	struct loop_port *loop = port->state;

	for (uint32_t i = 0; i < 2 * loop->rings; i++) {
		nmx__fd_close(loop->bells[i][0]);
		nmx__fd_close(loop->bells[i][1]);
	}
	if (loop->local.memory)
		nmx__unpoison(loop->local.memory, loop->local.bytes);
	nmx__local_free(&loop->local);
	free(loop);
}

static int open_bell(int bell[2])
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		bell[i] = nmx__fd_track(fds[i]);
	return bell[0] < 0 || bell[1] < 0 ? -1 : 0;
}

/* Transmit ring i and receive ring i on one queue. */
static int make_pair(struct nmx_port *port, struct loop_port *loop, uint32_t i)
{
	struct nmx__queue *queue = nmx__local_take(&loop->local, nmx__queue_bytes(loop->slots));

	for (uint32_t k = 0; k < nmx__queue_capacity(loop->slots); k++)
		atomic_store(&queue->entry[k].empty, loop->local.next_buf++);
	for (int tx = 1; tx >= 0; tx--) {
		uint32_t at = 2 * i + (uint32_t)tx;
		struct loop_ring *r = (struct loop_ring *)nmx__port_add_ring(port, tx, i);

		if (!r)
			return NMX_ERR_NO_MEMORY;
		loop->own[at] = nmx__local_ring(&loop->local, loop->slots, tx);
		nmx__local_handle(port, &loop->local, &r->ring, loop->own[at]);
		r->end = (struct nmx__qend){ .bufs = loop->local.bufs, .buf_stride = NMX__BUF_LEN, .num_bufs = loop->local.num_bufs,
			                     .max_len = NMX__BUF_LEN, .max_frags = port->info.max_frags,
			                     .chains = (port->options.flags & NMX_CHAINS) != 0 };
		nmx__qend_init(&r->end, loop->own[at], queue);
		r->end.bell = (struct nmx__bell){ .reader = loop->bells[at][0], .writer = -1 };
		r->end.peer_bell = (struct nmx__bell){ .reader = -1, .writer = loop->bells[at ^ 1][1] };
		if (tx && nmx__queue_send(&r->end) < 0)
			return NMX_ERR_CORRUPT;
	}
	return 0;
}

static int loop_check(const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;

	if ((o->tx_rings && o->rx_rings && o->tx_rings != o->rx_rings) || (o->tx_slots && o->rx_slots && o->tx_slots != o->rx_slots))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "a loop port has as many receive rings and slots as transmit rings and slots");
	if (o->flags & (NMX_TX_ONLY | NMX_RX_ONLY))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "a loop port both sends and receives, and cannot be opened for one of them alone");
	return nmx__local_check(port, why);
}

static int loop_open(struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;
	struct loop_port *loop;
	int err;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open a loop port");
	memset(loop->bells, 0xff, sizeof(loop->bells));
	port->state = loop;
	loop->rings = o->tx_rings ? o->tx_rings : o->rx_rings ? o->rx_rings : 1;
	loop->slots = o->tx_slots ? o->tx_slots : o->rx_slots ? o->rx_slots : NMX__LOCAL_SLOTS;
	uint32_t per_ring = 2 * loop->slots + nmx__queue_capacity(loop->slots);
	size_t tables = loop->rings * (2 * nmx__local_size(nmx__qring_bytes(loop->slots)) + nmx__local_size(nmx__queue_bytes(loop->slots)));

	for (uint32_t i = 0; i < 2 * loop->rings; i++)
		if (open_bell(loop->bells[i]) < 0) {
			err = nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "no descriptors for a loop port");
			goto fail;
		}
	err = nmx__local_make(&loop->local, port, tables, loop->rings * per_ring, why);
	if (err == 0)
		nmx__poison(loop->local.bufs, (size_t)loop->local.num_bufs * NMX__BUF_LEN); /* until the user gets them */
	for (uint32_t i = 0; i < loop->rings && err == 0; i++)
		if ((err = make_pair(port, loop, i)) < 0)
			nmx__fail(why, err, ENOMEM, "cannot set up a loop port");
	if (err == 0) {
		port->info.tx_rings = port->info.rx_rings = loop->rings;
		return 0;
	}
fail:
	loop_close(port);
	return err;
}

static void loop_stats(struct nmx_port *port, struct nmx_stats *stats)
{
	struct loop_port *loop = port->state;

	nmx__local_stats(loop->own, 2 * loop->rings, stats);
}

const struct nmx__backend nmx__loop_backend = {
	.id = NMX_LOOP,
	.ring_bytes = sizeof(struct loop_ring),
	.check = loop_check,
	.open = loop_open,
	.close = loop_close,
	.sync = loop_sync,
	.arm = loop_arm,
	.disarm = loop_disarm,
	.poll_fds = loop_poll_fds,
	.release = loop_release,
	.stats = loop_stats,
};
