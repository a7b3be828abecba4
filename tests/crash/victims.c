/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "victims.h"

/* A sync never waits; a wait, the tick at most beyond its time; an open or a close, three deadlines of the lock: whose
 * owner the attacker lies about. */
enum { MAX_SYNC_MS = 1000, WAIT_MS = 200, MAX_WAIT_MS = WAIT_MS + 1500, MAX_OPEN_MS = 10000 };

/* The library's poisoning finds programs that use what they have given away; a hostile member that has one buffer given
 * to two places makes honest ones look like that.  What is sought here is memory outside of the segment. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allow_user_poisoning=0:detect_leaks=0"; }

const char *const victim_names[VICTIMS] = { "sender", "receiver", "waiter", "switch user", "blocking switch user", "opener" };

struct self {
	struct arena *arena;
	struct toll *toll;
	enum victim_kind kind;
	struct rng rng;
	struct nmx_port *port;
	struct nmx_rx *rx;
	struct nmx_tx *tx;
	struct nmx_buf spare;
	int64_t queued_ms;      /* had waited for a processor by ... */
	int64_t queued_at_ms;   /* ... then: not long before whatever is being timed */
};

enum { SAMPLE_MS = 20 };

/* For how long this thread has been ready and not run: on a busy machine that is no fault of the library.  0 where the
 * kernel does not say. */
static int64_t queued_ms(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	unsigned long long ran, queued = 0;

	if (file && fscanf(file, "%llu %llu", &ran, &queued) != 2)
		queued = 0;
	if (file)
		fclose(file);
	return (int64_t)(queued / 1000000);
}

static void turn(struct self *self)
{
	int64_t now = now_ms();

	if (now - self->queued_at_ms >= SAMPLE_MS) {
		self->queued_ms = queued_ms();
		self->queued_at_ms = now;
	}
	atomic_store(&self->toll->turn_at_ms, now);
	atomic_fetch_add(&self->toll->turns, 1);
}

static void note_time(struct self *self, _Atomic int64_t *longest, int64_t began, int64_t most, const char *what)
{
	int64_t took = now_ms() - began;

	if (took > most)
		took -= queued_ms() - self->queued_ms;
	if (took > atomic_load(longest))
		atomic_store(longest, took);
	must(took <= most, "%s: %s took %lld ms", victim_names[self->kind], what, (long long)took);
	turn(self);
}

static bool sync_failed(struct self *self, int n)
{
	if (n >= 0 || n == NMX_ERR_PEER_GONE)
		return false;
	must(n == NMX_ERR_CORRUPT || n == NMX_ERR_GONE || n == NMX_ERR_NO_MEMORY, "%s: sync says %s", victim_names[self->kind],
	     nmx_error_name(n));
	atomic_fetch_add(&self->toll->sync_errors, 1);
	return true;
}

static bool sync_tx(struct self *self)
{
	int64_t began = now_ms();
	int n = nmx_tx_sync(self->tx);

	note_time(self, &self->toll->longest_sync_ms, began, MAX_SYNC_MS, "a transmit sync");
	return !sync_failed(self, n);
}

static bool sync_rx(struct self *self)
{
	int64_t began = now_ms();
	int n = nmx_rx_sync(self->rx);

	note_time(self, &self->toll->longest_sync_ms, began, MAX_SYNC_MS, "a receive sync");
	return !sync_failed(self, n);
}

static void wait_for_any(struct self *self, bool by_pollfd)
{
	struct nmx_wait_entry entries[2] = { { .rx = self->rx }, { .tx = self->tx } };
	struct pollfd fds[2] = { { .fd = -1 }, { .fd = -1 } };
	int64_t began = now_ms();
	int n;

	if (by_pollfd) {
		fds[0] = nmx_rx_pollfd(self->rx);
		fds[1] = nmx_tx_pollfd(self->tx);
		n = poll(fds, 2, WAIT_MS);
	} else
		n = nmx_wait(entries, 1 + rng_below(&self->rng, 2), WAIT_MS);
	must(n >= 0 || n == NMX_ERR_GONE || n == NMX_ERR_CORRUPT || n == NMX_ERR_NO_MEMORY, "%s: a wait says %s",
	     victim_names[self->kind], nmx_error_name(n));
	note_time(self, &self->toll->longest_wait_ms, began, MAX_WAIT_MS, "a wait");
}

/* ---- packets; what is in them is anybody's, where they are is not */

static bool send_some(struct self *self)
{
	for (uint32_t n = 1 + rng_below(&self->rng, 16); n; n--) {
		struct nmx_batch batch;
		uint8_t *data;
		uint32_t len = 1 + rng_below(&self->rng, nmx_tx_max_len(self->tx));

		if (self->spare.home && rng_below(&self->rng, 8) == 0) {
			memset(self->spare.data, 1, len);
			self->spare.len = (uint16_t)len;
			(void)!nmx_tx_put(self->tx, &self->spare);
			continue;
		}
		if (nmx_tx_reserve(self->tx, 1, &batch) <= 0)
			break;
		data = nmx_batch_packet(&batch, len);
		if (data)
			memset(data, (int)n, len);
		if (data && len > 12) /* at a switch: from one of several, to another or to all */
			data[5] = (uint8_t)rng_below(&self->rng, 4), data[11] = (uint8_t)rng_below(&self->rng, 4), data[0] = rng_below(&self->rng, 4) == 0,
			data[6] = 0;
		nmx_batch_commit(&batch);
	}
	return sync_tx(self);
}

static bool receive_some(struct self *self)
{
	struct nmx_frame frame;

	if (!sync_rx(self))
		return false;
	for (uint32_t n = 0; nmx_rx_recv(self->rx, &frame); n++) {
		uint32_t sum = 0;

		must(n < self->rx->num_slots, "%s: more frames than slots", victim_names[self->kind]);
		must(frame.len > 0 && frame.len <= self->rx->max_len, "%s: a frame of %u bytes", victim_names[self->kind], frame.len);
		for (uint32_t i = 0; i < frame.len; i++)
			sum += frame.data[i];
		__asm__ volatile("" : : "r"(sum)); /* the bytes are read, whatever the compiler thinks */
		atomic_fetch_add(&self->toll->packets, 1);
		if (self->spare.home && rng_below(&self->rng, 16) == 0)
			(void)!nmx_frame_take(&frame, &self->spare);
		else if (rng_below(&self->rng, 16) == 0)
			(void)!nmx_tx_forward(self->tx, &frame);
	}
	return true;
}

/* ---- life */

static bool open_self(struct self *self, const char *name)
{
	struct nmx_options o = { .extra_bufs = 2, .flags = rng_below(&self->rng, 2) ? NMX_CHAINS : 0 };
	struct nmx_report why;
	int64_t began = now_ms();
	int err;

	o.tx_slots = o.rx_slots = self->kind == OPENS ? 2 + rng_below(&self->rng, 60) : 32;
	err = open_port(&self->port, name, &o, &why);
	note_time(self, &self->toll->longest_open_ms, began, MAX_OPEN_MS, "an open");
	if (err < 0) {
		must(strlen(why.text) > 10, "%s: open fails with %s and says nothing", victim_names[self->kind], nmx_error_name(err));
		atomic_fetch_add(&self->toll->open_errors, 1);
		nap_us(2000);
		return false;
	}
	atomic_fetch_add(&self->toll->opens, 1);
	must(nmx_rx_ring(self->port, 0, &self->rx) == 0 && nmx_tx_ring(self->port, 0, &self->tx) == 0, "%s: no rings",
	     victim_names[self->kind]);
	memset(&self->spare, 0, sizeof(self->spare));
	(void)!nmx_buf_get(self->port, &self->spare, 1);
	return true;
}

static void close_self(struct self *self)
{
	struct nmx_stats stats;
	int64_t began = now_ms();

	nmx_port_stats(self->port, &stats);
	nmx_rx_close(self->rx);
	nmx_tx_close(self->tx);
	nmx_close(self->port);
	note_time(self, &self->toll->longest_open_ms, began, MAX_OPEN_MS, "a close");
}

static bool one_turn(struct self *self)
{
	switch (self->kind) {
	case SENDS:
		return send_some(self);
	case RECEIVES:
		return receive_some(self) && sync_tx(self);
	case WAITS:
	case BLOCKS:
		wait_for_any(self, rng_below(&self->rng, 2));
		return receive_some(self) && send_some(self);
	default:
		return send_some(self) && receive_some(self) && rng_below(&self->rng, 8);
	}
}

void be_victim(void *victim_)
{
	static const char *const names[VICTIMS] = { "v{1", "v}1", "w{1", "vale0:a", "vale0:b@block", NULL };
	const struct victim *victim = victim_;
	struct self self = { .arena = victim->arena, .kind = victim->kind, .toll = &victim->arena->toll[victim->kind] };
	char name[16];

	self.rng = rng_of(attack.seed, 100 + (uint64_t)self.kind);
	while (!atomic_load(&self.arena->stop)) {
		uint32_t life = self.kind == OPENS ? 5 : 20000;

		snprintf(name, sizeof(name), "o%u{%u", rng_below(&self.rng, 4), rng_below(&self.rng, 4));
		if (self.kind == OPENS && rng_below(&self.rng, 4) == 0)
			snprintf(name, sizeof(name), "w}1"); /* the other end of the waiter's pipe */
		else if (self.kind == OPENS && rng_below(&self.rng, 3))
			snprintf(name, sizeof(name), "vale%u:%u%s", rng_below(&self.rng, 2), rng_below(&self.rng, 4), rng_below(&self.rng, 2) ? "@block" : "");
		if (!open_self(&self, names[self.kind] ? names[self.kind] : name))
			continue;
		while (life-- && !atomic_load(&self.arena->stop) && one_turn(&self))
			continue;
		close_self(&self);
	}
}
