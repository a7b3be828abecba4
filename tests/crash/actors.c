/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "actors.h"

enum { MAX_HELD = 8 };

/* What a packet carries; filled up to len with bytes that follow from the number. */
struct stamp {
	uint32_t epoch, len;
	uint64_t number;
	uint64_t sum;
};

struct play {
	struct stage *stage;
	struct actor *self;
	enum role role;
	struct rng rng;
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	struct nmx_buf bufs[MAX_HELD];
	uint32_t num_bufs;
	uint32_t epoch;
	uint64_t next;
	uint32_t echo_epoch;
	uint64_t echo_next;
};

static const char *role_name(const struct play *play) { return play->role == SENDER ? "sender" : "receiver"; }

/* ---- packets */

static uint64_t sum_of(const uint8_t *data, uint32_t len)
{
	uint64_t sum = len;

	for (uint32_t i = 0; i < len; i++)
		sum = sum * 31 + data[i];
	return sum;
}

static void write_packet(uint8_t *data, uint32_t len, uint32_t epoch, uint64_t number)
{
	struct stamp stamp = { .epoch = epoch, .len = len, .number = number };

	memset(data + sizeof(stamp), (int)(number * 7 + epoch), len - sizeof(stamp));
	stamp.sum = sum_of(data + sizeof(stamp), len - sizeof(stamp)) ^ number << 8 ^ epoch;
	memcpy(data, &stamp, sizeof(stamp));
}

static struct stamp check_packet(const struct play *play, const uint8_t *data, uint32_t len)
{
	struct stamp stamp = { 0 };

	must(len >= sizeof(stamp), "%s: a packet of %u bytes was never sent", role_name(play), len);
	memcpy(&stamp, data, sizeof(stamp));
	must(stamp.len == len, "%s: a packet of %u bytes says that it has %u", role_name(play), len, stamp.len);
	must(stamp.sum == (sum_of(data + sizeof(stamp), len - sizeof(stamp)) ^ stamp.number << 8 ^ stamp.epoch),
	     "%s: packet %u:%llu is damaged", role_name(play), stamp.epoch, (unsigned long long)stamp.number);
	return stamp;
}

static uint32_t packet_len(struct play *play)
{
	return (uint32_t)sizeof(struct stamp) + rng_below(&play->rng, play->stage->max_len - (uint32_t)sizeof(struct stamp) + 1);
}

/* ---- what must arrive */

static void spend(struct stage *stage, uint64_t missing, uint32_t epoch, uint64_t number)
{
	uint64_t credit = atomic_load(&stage->credit);

	must(missing <= credit,
	     "receiver: at packet %u:%llu, %llu packets are missing that were handed over (expected %u:%llu), and only %llu were "
	     "counted as lost with a receiver that died",
	     epoch, (unsigned long long)number, (unsigned long long)missing, stage->seen_epoch, (unsigned long long)stage->seen_next,
	     (unsigned long long)credit);
	atomic_store(&stage->credit, credit - missing);
	atomic_fetch_add(&stage->lost_total, missing);
}

static void expect(struct stage *stage, const struct stamp *stamp)
{
	uint32_t epoch = atomic_load(&stage->seen_epoch);
	uint64_t next = atomic_load(&stage->seen_next);

	must(stamp->epoch >= epoch && (stamp->epoch > epoch || stamp->number >= next), "receiver: packet %u:%llu comes again, or late: expected %u:%llu",
	     stamp->epoch, (unsigned long long)stamp->number, epoch, (unsigned long long)next);
	must(stamp->epoch <= atomic_load(&stage->epoch), "receiver: packet %u:%llu of the future", stamp->epoch,
	     (unsigned long long)stamp->number);
	for (; epoch < stamp->epoch; epoch++, next = 0)
		if (atomic_load(&stage->synced[epoch]) > next)
			spend(stage, atomic_load(&stage->synced[epoch]) - next, stamp->epoch, stamp->number);
	if (stamp->number > next)
		spend(stage, stamp->number - next, stamp->epoch, stamp->number);
	atomic_store(&stage->seen_epoch, stamp->epoch);
	atomic_store(&stage->seen_next, stamp->number + 1);
	atomic_fetch_add(&stage->received_total, 1);
}

/* What the predecessor had received and not released is lost, and counted. */
static void inherit(struct play *play)
{
	struct nmx_stats stats;
	uint64_t before = atomic_load(&play->stage->drop_unread);

	nmx_port_stats(play->port, &stats);
	must(stats.drop_unread >= before, "receiver: drop_unread went back from %llu to %llu", (unsigned long long)before,
	     (unsigned long long)stats.drop_unread);
	atomic_fetch_add(&play->stage->credit, stats.drop_unread - before);
	atomic_store(&play->stage->drop_unread, stats.drop_unread);
	must(stats.drop_invalid == 0 && stats.resets == 0, "receiver: %llu packets dropped as nonsense, %llu resets",
	     (unsigned long long)stats.drop_invalid, (unsigned long long)stats.resets);
}

/* ---- the sender */

static int send_one(struct play *play)
{
	uint32_t len = packet_len(play);

	if (play->stage->mode == PUT && play->num_bufs && rng_below(&play->rng, 2)) {
		struct nmx_buf *buf = &play->bufs[rng_below(&play->rng, play->num_bufs)];

		write_packet(buf->data, len, play->epoch, play->next);
		buf->len = (uint16_t)len;
		buf->flags = 0;
		return nmx_tx_put(play->tx, buf);
	}
	struct nmx_batch batch;
	uint8_t *data;
	int got = nmx_tx_reserve(play->tx, 1, &batch);

	if (got <= 0) {
		if (got == 0)
			nmx_batch_cancel(&batch);
		return got < 0 ? got : NMX_ERR_WOULD_BLOCK;
	}
	data = nmx_batch_packet(&batch, len);
	write_packet(data, len, play->epoch, play->next);
	nmx_batch_commit(&batch);
	return 0;
}

static int sync_tx(struct play *play)
{
	int n = nmx_tx_sync(play->tx);

	must(n >= 0 || n == NMX_ERR_PEER_GONE, "%s: nmx_tx_sync: %s", role_name(play), nmx_strerror(n));
	return n == NMX_ERR_PEER_GONE ? (int)nmx_tx_space(play->tx) : n;
}

static int sync_rx(struct play *play)
{
	int n = nmx_rx_sync(play->rx);

	must(n >= 0 || n == NMX_ERR_PEER_GONE, "%s: nmx_rx_sync: %s", role_name(play), nmx_strerror(n));
	return n;
}

static void take_echoes(struct play *play)
{
	if (play->stage->mode < TAKE || sync_rx(play) <= 0)
		return;
	nmx_rx_for_each (play->rx, frame) {
		struct stamp stamp = check_packet(play, frame.data, frame.len);

		must(stamp.epoch > play->echo_epoch || (stamp.epoch == play->echo_epoch && stamp.number >= play->echo_next),
		     "sender: echo %u:%llu comes again, or late", stamp.epoch, (unsigned long long)stamp.number);
		play->echo_epoch = stamp.epoch;
		play->echo_next = stamp.number + 1;
	}
}

static void send_turn(struct play *play)
{
	uint32_t batch = 1 + rng_below(&play->rng, play->stage->batch), i = 0;
	int space;

	take_echoes(play);
	for (; i < batch; i++) {
		int err = send_one(play);

		if (err == NMX_ERR_WOULD_BLOCK)
			break;
		must(err == 0, "sender: packet %llu: %s", (unsigned long long)play->next, nmx_strerror(err));
		play->next++;
	}
	space = sync_tx(play);
	atomic_store(&play->stage->synced[play->epoch], play->next);
	atomic_fetch_add(&play->stage->sent_total, i);
	if (space == 0 && play->stage->mode < TAKE && rng_below(&play->rng, 2))
		(void)!nmx_tx_wait(play->tx, 0, 5);
}

/* ---- the receiver */

/* Sends a taken buffer back from the hand. */
static void give_back_taken(struct play *play, struct nmx_frame *frame)
{
	struct nmx_buf *buf = &play->bufs[rng_below(&play->rng, play->num_bufs)];

	if (nmx_frame_take(frame, buf) < 0)
		die("receiver: nmx_frame_take failed");
	if (nmx_tx_put(play->tx, buf) < 0)
		buf->len = 0; /* full: an echo less */
}

static void handle(struct play *play, struct nmx_frame *frame)
{
	struct stamp stamp = check_packet(play, frame->data, frame->len);

	expect(play->stage, &stamp);
	if (play->stage->mode == TAKE && play->num_bufs)
		give_back_taken(play, frame);
	else if (play->stage->mode == FORWARD)
		(void)!nmx_tx_forward(play->tx, frame);
}

static void receive_turn(struct play *play)
{
	int waiting = sync_rx(play);
	uint32_t most = 1 + rng_below(&play->rng, play->stage->batch);
	struct nmx_frame frame;

	for (; most && waiting > 0 && nmx_rx_recv(play->rx, &frame); most--)
		handle(play, &frame);
	if (play->stage->mode >= TAKE)
		sync_tx(play);
	if (waiting == 0 && rng_below(&play->rng, 4) == 0)
		(void)!nmx_rx_wait(play->rx, 5);
}

static bool has_all(struct stage *stage)
{
	uint32_t epoch = atomic_load(&stage->epoch), seen = atomic_load(&stage->seen_epoch);
	uint64_t missing = 0;

	for (uint32_t e = seen; e <= epoch; e++) {
		uint64_t synced = atomic_load(&stage->synced[e]), next = e == seen ? atomic_load(&stage->seen_next) : 0;

		missing += synced > next ? synced - next : 0;
	}
	return missing <= atomic_load(&stage->credit);
}

/* ---- both */

static void open_end(struct play *play)
{
	const struct stage *stage = play->stage;
	struct nmx_options o = { .tx_slots = stage->slots[play->role], .rx_slots = stage->slots[!play->role],
		                 .extra_bufs = stage->extra_bufs };
	struct nmx_report why;
	int err;

	if (atomic_load(&play->self->trap_open))
		raise(SIGTRAP);
	err = open_port(&play->port, play->role == SENDER ? "x{1" : "x}1", &o, &why);
	must(err == 0, "%s: cannot open: %s", role_name(play), why.text);
	must(nmx_tx_ring(play->port, 0, &play->tx) == 0 && nmx_rx_ring(play->port, 0, &play->rx) == 0, "%s: no rings", role_name(play));
	play->num_bufs = nmx_buf_get(play->port, play->bufs, MAX_HELD);
	must(play->num_bufs == (stage->extra_bufs < MAX_HELD ? stage->extra_bufs : MAX_HELD), "%s: %u spare buffers", role_name(play),
	     play->num_bufs);
}

static void close_end(struct play *play)
{
	if (atomic_load(&play->self->trap_close))
		raise(SIGTRAP);
	nmx_tx_close(play->tx);
	nmx_rx_close(play->rx);
	nmx_buf_put(play->port, play->bufs, play->num_bufs);
	nmx_close(play->port);
}

static bool is_done(struct play *play)
{
	if (!atomic_load(&play->stage->stop))
		return false;
	return play->role == SENDER || (atomic_load(&play->stage->actor[SENDER].state) >= QUIET && has_all(play->stage));
}

void act(void *part)
{
	struct play play = { .stage = ((struct part *)part)->stage, .role = ((struct part *)part)->role };

	play.self = &play.stage->actor[play.role];
	play.rng = rng_of(play.stage->seed, (uint64_t)play.role + 2 * atomic_load(&play.stage->epoch));
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	open_end(&play);
	if (play.role == SENDER)
		play.epoch = atomic_fetch_add(&play.stage->epoch, 1) + 1;
	else
		inherit(&play);
	must(play.epoch < MAX_EPOCHS, "too many senders");
	atomic_store(&play.self->state, RUNNING);
	while (!is_done(&play)) {
		if (atomic_load_explicit(&play.self->trap_loop, memory_order_relaxed) && atomic_exchange(&play.self->trap_loop, 0))
			raise(SIGTRAP);
		(play.role == SENDER ? send_turn : receive_turn)(&play);
		atomic_fetch_add_explicit(&play.self->turns, 1, memory_order_relaxed);
	}
	if (play.role == RECEIVER)
		inherit(&play);
	atomic_store(&play.self->state, QUIET);
	while (!atomic_load(&play.stage->leave))
		nap_us(100);
	close_end(&play);
	atomic_store(&play.self->state, CLOSED);
}
