/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ports of one switch in many processes, each sending stamped packets to any other, while processes are killed, stopped and
 * continued.  Those that live to the end lose nothing that their counters do not name; nothing is damaged, comes twice or
 * out of order within a flow; buffers add up, and nothing of the dead stays behind.
 *
 * -n PROCESSES, -t SECONDS.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "crash.h"

enum { MAX_ACTORS = 64, SLOTS = 32, BATCH = 24, MAX_LEN = 300, MAX_SILENCE_MS = 20000, PATIENCE_MS = 60000 };
enum state { OPENING, RUNNING, DRAINED, QUIET };

/* What one life of an actor had to do with a life of another. */
struct account {
	_Atomic uint32_t life; /* the other's */
	_Atomic uint64_t next; /* number of the next packet */
	_Atomic uint64_t count;
};

struct actor {
	_Atomic int state;
	_Atomic uint32_t life; /* 0: not open */
	_Atomic int64_t turn_at_ms;
	_Atomic uint64_t turns;
	struct account to[MAX_ACTORS], from[MAX_ACTORS];
	struct nmx_stats stats; /* when quiet */
};

struct stage {
	_Atomic int stop, leave;
	_Atomic uint32_t lives, drained;
	uint32_t num_actors;
	struct actor actor[MAX_ACTORS];
};
static struct stage *stage;

struct stamp {
	uint8_t dst[6], src[6]; /* 02, actor, life in four bytes */
	uint16_t type;
	uint16_t len;
	uint32_t src_actor, src_life, dst_actor, dst_life;
	uint64_t number, sum;
};

struct play {
	uint32_t me, life;
	struct actor *self;
	struct rng rng;
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	uint64_t foreign;
};

/* ---- packets */

static void write_address(uint8_t mac[6], uint32_t actor, uint32_t life)
{
	mac[0] = 2;
	mac[1] = (uint8_t)actor;
	memcpy(mac + 2, &life, sizeof(life));
}

static uint64_t sum_of(const struct stamp *stamp, const uint8_t *data)
{
	uint64_t sum = stamp->number * 31 + stamp->src_life * 7919u + stamp->dst_life;

	for (uint32_t i = sizeof(*stamp); i < stamp->len; i++)
		sum = sum * 31 + data[i];
	return sum;
}

static void write_packet(struct play *play, uint8_t *data, uint32_t len, uint32_t to, uint32_t to_life, uint64_t number)
{
	struct stamp stamp = { .len = (uint16_t)len, .src_actor = play->me, .src_life = play->life, .dst_actor = to, .dst_life = to_life,
		               .number = number };

	write_address(stamp.dst, to, to_life);
	write_address(stamp.src, play->me, play->life);
	if (to == MAX_ACTORS)
		memset(stamp.dst, 0xff, sizeof(stamp.dst));
	memset(data + sizeof(stamp), (int)(number + play->life), len - sizeof(stamp));
	stamp.sum = sum_of(&stamp, data);
	memcpy(data, &stamp, sizeof(stamp));
}

static void take_packet(struct play *play, const struct nmx_frame *frame)
{
	struct account *account;
	struct stamp stamp;

	must(frame->len >= sizeof(stamp), "actor %u: a packet of %u bytes was never sent", play->me, frame->len);
	memcpy(&stamp, frame->data, sizeof(stamp));
	must(stamp.len == frame->len && stamp.src_actor < stage->num_actors && stamp.sum == sum_of(&stamp, frame->data),
	     "actor %u: packet %llu of %u:%u is damaged", play->me, (unsigned long long)stamp.number, stamp.src_actor, stamp.src_life);
	must(stamp.src_life != play->life, "actor %u: its own packet came back", play->me);
	if (stamp.dst_actor != play->me || stamp.dst_life != play->life) {
		play->foreign++; /* sent to all: its host was not known, or is everybody */
		return;
	}
	account = &play->self->from[stamp.src_actor];
	if (atomic_load(&account->life) != stamp.src_life) {
		must(stamp.src_life > atomic_load(&account->life), "actor %u: a packet of life %u after one of life %u", play->me, stamp.src_life,
		     atomic_load(&account->life));
		atomic_store(&account->life, stamp.src_life);
		atomic_store(&account->next, 0);
		atomic_store(&account->count, 0);
	}
	must(stamp.number >= atomic_load(&account->next), "actor %u: packet %llu of %u:%u comes again, or late: expected %llu", play->me,
	     (unsigned long long)stamp.number, stamp.src_actor, stamp.src_life, (unsigned long long)account->next);
	atomic_store(&account->next, stamp.number + 1);
	atomic_fetch_add(&account->count, 1);
}

/* ---- an actor */

static void turn(struct play *play)
{
	atomic_store(&play->self->turn_at_ms, now_ms());
	atomic_fetch_add(&play->self->turns, 1);
}

static void sync_tx(struct play *play)
{
	int n = nmx_tx_sync(play->tx);

	must(n >= 0, "actor %u: nmx_tx_sync: %s", play->me, nmx_strerror(n));
}

static bool send_one(struct play *play, uint32_t to, uint32_t to_life, uint64_t number)
{
	uint32_t len = (uint32_t)sizeof(struct stamp) + rng_below(&play->rng, MAX_LEN - (uint32_t)sizeof(struct stamp));
	struct nmx_batch batch;
	uint8_t *data;

	if (nmx_tx_reserve(play->tx, 1, &batch) < 1)
		return false;
	data = nmx_batch_packet(&batch, len);
	write_packet(play, data, len, to, to_life, number);
	nmx_batch_commit(&batch);
	return true;
}

/* Some packets to one, or in turn to several. */
static void send_some(struct play *play)
{
	for (uint32_t n = 1 + rng_below(&play->rng, BATCH), to = 0; n > 0; n--) {
		struct account *account;
		uint32_t life;

		if (to == 0 || rng_below(&play->rng, 4) == 0)
			to = 1 + rng_below(&play->rng, stage->num_actors);
		life = atomic_load(&stage->actor[to - 1].life);
		if (life == 0 || to - 1 == play->me)
			continue;
		account = &play->self->to[to - 1];
		if (atomic_load(&account->life) != life) {
			atomic_store(&account->life, life);
			atomic_store(&account->count, 0);
		}
		if (!send_one(play, to - 1, life, atomic_load(&account->count)))
			break;
		atomic_fetch_add(&account->count, 1);
	}
	if (rng_below(&play->rng, 50) == 0)
		send_one(play, MAX_ACTORS, 0, 0);
	sync_tx(play);
}

static int receive_some(struct play *play)
{
	int n = nmx_rx_sync(play->rx);

	must(n >= 0, "actor %u: nmx_rx_sync: %s", play->me, nmx_strerror(n));
	nmx_rx_for_each (play->rx, frame)
		take_packet(play, &frame);
	return n;
}

static void wait_sometimes(struct play *play, int received)
{
	if (received == 0 && rng_below(&play->rng, 4) == 0)
		must(nmx_rx_wait(play->rx, 5) >= 0, "actor %u: nmx_rx_wait", play->me);
	if (nmx_tx_space(play->tx) == 0 && rng_below(&play->rng, 2))
		must(nmx_tx_wait(play->tx, 1, 5) >= 0, "actor %u: nmx_tx_wait", play->me);
}

static void open_self(struct play *play)
{
	struct nmx_options o = { .tx_slots = SLOTS, .rx_slots = SLOTS, .flags = play->me % 2 ? NMX_BLOCKING : 0 };
	struct nmx_report why;
	int64_t deadline = now_ms() + PATIENCE_MS;
	char name[16];
	int err;

	snprintf(name, sizeof(name), "vale0:p%u", play->me);
	/* Who has the segment's lock may be stopped, or starve among so many. */
	do
		err = open_port(&play->port, name, &o, &why);
	while (err == NMX_ERR_BUSY && strstr(why.text, "has been locked") && now_ms() < deadline);
	must(err == 0, "actor %u: cannot open: %s", play->me, why.text);
	must(nmx_tx_ring(play->port, 0, &play->tx) == 0 && nmx_rx_ring(play->port, 0, &play->rx) == 0, "actor %u: no rings", play->me);
	for (int i = 0; i < 2; i++) { /* where we are; what the first finds full, the second does not need */
		send_one(play, MAX_ACTORS, 0, 0);
		sync_tx(play);
	}
}

/* Until all that waits in the ring has gone. */
static void drain(struct play *play)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (nmx_tx_space(play->tx) < SLOTS - 1) {
		must(now_ms() < deadline, "actor %u: %u slots do not get rid of their packets", play->me, SLOTS - 1 - nmx_tx_space(play->tx));
		sync_tx(play);
		receive_some(play);
		turn(play);
	}
	atomic_store(&play->self->state, DRAINED);
	atomic_fetch_add(&stage->drained, 1);
	while (atomic_load(&stage->drained) < stage->num_actors || receive_some(play) > 0) {
		receive_some(play);
		turn(play);
		nap_us(200);
	}
}

static void act(void *arg)
{
	struct play play = { .me = (uint32_t)(uintptr_t)arg, .self = &stage->actor[(uintptr_t)arg] };

	memset(play.self->to, 0, sizeof(play.self->to));
	memset(play.self->from, 0, sizeof(play.self->from));
	play.life = atomic_fetch_add(&stage->lives, 1) + 1;
	play.rng = rng_of(attack.seed, play.life);
	open_self(&play);
	atomic_store(&play.self->life, play.life);
	atomic_store(&play.self->state, RUNNING);
	while (!atomic_load(&stage->stop)) {
		int received = receive_some(&play);

		send_some(&play);
		turn(&play);
		wait_sometimes(&play, received);
	}
	drain(&play);
	nmx_port_stats(play.port, &play.self->stats);
	atomic_store(&play.self->state, QUIET);
	while (!atomic_load(&stage->leave))
		nap_us(1000);
	nmx_tx_close(play.tx);
	nmx_rx_close(play.rx);
	nmx_close(play.port);
}

/* ---- the director */

static pid_t pids[MAX_ACTORS];
static int64_t stopped_until[MAX_ACTORS];
static uint32_t kills, stops;

static void start(uint32_t i)
{
	atomic_store(&stage->actor[i].state, OPENING);
	atomic_store(&stage->actor[i].life, 0);
	atomic_store(&stage->actor[i].turn_at_ms, now_ms());
	pids[i] = spawn(act, (void *)(uintptr_t)i);
}

static void look_after(uint32_t i)
{
	int status;

	if (waitpid(pids[i], &status, WNOHANG) != 0) {
		must(!WIFSIGNALED(status), "actor %u crashed: %s", i, strsignal(WTERMSIG(status)));
		die("actor %u failed (it said why above)", i);
	}
	if (stopped_until[i] && now_ms() >= stopped_until[i]) {
		kill(pids[i], SIGCONT);
		stopped_until[i] = 0;
		atomic_store(&stage->actor[i].turn_at_ms, now_ms());
	}
	must(stopped_until[i] || now_ms() - atomic_load(&stage->actor[i].turn_at_ms) < MAX_SILENCE_MS, "actor %u hangs: no turn for %lld ms", i,
	     (long long)(now_ms() - atomic_load(&stage->actor[i].turn_at_ms)));
}

static void strike(struct rng *rng)
{
	uint32_t i = rng_below(rng, stage->num_actors);

	if (rng_below(rng, 3)) {
		kill_now(pids[i]);
		stopped_until[i] = 0;
		start(i);
		kills++;
	} else if (!stopped_until[i]) {
		kill(pids[i], SIGSTOP);
		stopped_until[i] = now_ms() + rng_scaled(rng, 400);
		stops++;
	}
}

static void wait_for_all(enum state state)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	for (uint32_t i = 0; i < stage->num_actors; i++)
		while (atomic_load(&stage->actor[i].state) < (int)state) {
			for (uint32_t k = 0; k < stage->num_actors; k++)
				look_after(k);
			must(now_ms() < deadline, "actor %u does not come to state %d (is %d)", i, state, stage->actor[i].state);
			nap_us(1000);
		}
}

/* Those that live now, with each other. */
static uint64_t settle_accounts(uint64_t missing[2])
{
	uint64_t received = 0;

	for (uint32_t i = 0; i < stage->num_actors; i++) {
		const struct actor *a = &stage->actor[i];
		uint64_t lost = 0, named = a->stats.drop_full + a->stats.drop_no_port;

		must(a->stats.drop_invalid == 0 && a->stats.resets == 0, "actor %u: %llu packets dropped as nonsense, %llu resets", i,
		     (unsigned long long)a->stats.drop_invalid, (unsigned long long)a->stats.resets);
		for (uint32_t k = 0; k < stage->num_actors; k++) {
			const struct actor *b = &stage->actor[k];

			if (a->to[k].life != b->life || a->to[k].count == 0)
				continue;
			uint64_t got = b->from[i].life == a->life ? b->from[i].count : 0;

			must(got <= a->to[k].count, "actor %u got %llu packets of the %llu that %u sent", k, (unsigned long long)got,
			     (unsigned long long)a->to[k].count, i);
			lost += a->to[k].count - got;
			received += got;
		}
		must(lost <= named, "actor %u (%s): %llu of its packets are missing, and its counters name %llu (full %llu, no port %llu)", i,
		     i % 2 ? "blocking" : "dropping", (unsigned long long)lost, (unsigned long long)named,
		     (unsigned long long)a->stats.drop_full, (unsigned long long)a->stats.drop_no_port);
		missing[i % 2] += lost;
	}
	return received;
}

int main(int argc, char **argv)
{
	uint64_t received, missing[2] = { 0 }, turns = 0;
	struct rng rng;
	int64_t until;

	attack_begin("storm", argc, argv, 16, 20);
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(stage != MAP_FAILED, "no memory");
	stage->num_actors = attack.count < 2 ? 2 : attack.count > MAX_ACTORS ? MAX_ACTORS : attack.count;
	rng = rng_of(attack.seed, 0);
	for (uint32_t i = 0; i < stage->num_actors; i++)
		start(i);
	wait_for_all(RUNNING);
	for (until = now_ms() + (int64_t)attack.seconds * 1000; now_ms() < until; nap_us(rng_scaled(&rng, 60000))) {
		for (uint32_t i = 0; i < stage->num_actors; i++)
			look_after(i);
		strike(&rng);
	}
	for (uint32_t i = 0; i < stage->num_actors; i++)
		stopped_until[i] = stopped_until[i] ? 1 : 0;
	wait_for_all(RUNNING);
	atomic_store(&stage->stop, 1);
	wait_for_all(QUIET);
	received = settle_accounts(missing);
	for (uint32_t i = 0; i < stage->num_actors; i++)
		turns += stage->actor[i].turns;
	must_work("beside the switch"); /* whoever comes next has recovered all dead */
	must_add_up("when all are quiet", NULL);
	must(count_files(attack.dir, "default.m") == stage->num_actors, "files of the dead: %s", list_files(attack.dir));
	atomic_store(&stage->leave, 1);
	for (uint32_t i = 0; i < stage->num_actors; i++)
		reap_ok(pids[i], PATIENCE_MS, "an actor");
	must(count_files(attack.dir, "") == 0, "left behind: %s", list_files(attack.dir));
	return attack_end("%u processes, %u s: %u kills, %u stops; of the last lives"
	                  " %llu packets received, %llu dropped and counted, %llu of blocking ports, %llu turns",
	                  stage->num_actors, attack.seconds, kills, stops, (unsigned long long)received, (unsigned long long)missing[0],
	                  (unsigned long long)missing[1],
	                  (unsigned long long)turns);
}
