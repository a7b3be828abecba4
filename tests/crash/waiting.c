/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A sender that waits for room in a port of a switch, and the process that has the port is killed: the sender goes on soon,
 * not when it would have looked anyway, a second later.  The best of some rounds counts, for a machine may be busy.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

enum { LEN = 60, SLOTS = 16, ROUNDS = 5, PATIENCE_MS = 10000, SOON_MS = 500 };
static const struct nmx_options small = { .tx_slots = SLOTS, .rx_slots = SLOTS };
static const struct nmx_options blocking = { .tx_slots = SLOTS, .rx_slots = SLOTS, .flags = NMX_BLOCKING };

/* ---- who is waited for */

struct receiver {
	const char *name;
	int ready[2];
	pid_t pid;
};

static void never_receive(void *arg)
{
	const struct receiver *receiver = arg;
	struct nmx_report why;
	struct nmx_port *port;

	must(open_port(&port, receiver->name, &small, &why) == 0, "%s", why.text);
	must(write(receiver->ready[1], "", 1) == 1, "cannot say so");
	for (;;)
		pause();
}

static void start(struct receiver *receiver)
{
	char byte;

	must(pipe(receiver->ready) == 0, "no pipe");
	receiver->pid = spawn(never_receive, receiver);
	must(read(receiver->ready[0], &byte, 1) == 1, "no %s", receiver->name);
	close(receiver->ready[0]);
	close(receiver->ready[1]);
}

/* ---- who waits */

struct sender {
	struct nmx_port *port;
	struct nmx_tx *tx;
};

static struct sender begin(void)
{
	struct nmx_report why;
	struct sender s;

	must(open_port(&s.port, "vale0:a", &blocking, &why) == 0 && nmx_tx_ring(s.port, 0, &s.tx) == 0, "%s", why.text);
	return s;
}

/* To the port of that number. */
static void put(struct sender *s, uint32_t number)
{
	static const uint8_t header[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	struct nmx_batch batch;
	uint8_t *data;

	must(nmx_tx_reserve(s->tx, 1, &batch) == 1 && (data = nmx_batch_packet(&batch, LEN)), "no room");
	memset(data, 0, LEN);
	memcpy(data, header, sizeof(header));
	nmx_batch_slot(&batch)->flags |= (uint16_t)(number << NS_PORT_SHIFT);
	nmx_batch_commit(&batch);
}

/* As many as its queue takes; one more will wait. */
static void fill(struct sender *s, uint32_t number)
{
	for (int i = 0; i < SLOTS; i++) {
		put(s, number);
		must(nmx_tx_sync(s->tx) == SLOTS - 1, "no room yet");
	}
}

static void must_wait(struct sender *s, uint32_t number)
{
	uint32_t before = nmx_tx_space(s->tx);

	put(s, number);
	must(nmx_tx_sync(s->tx) == (int)before - 1, "it does not wait");
}

static void end(struct sender *s)
{
	nmx_tx_close(s->tx);
	nmx_close(s->port);
	must(count_files(attack.dir, "") == 0, "files are left: %s", list_files(attack.dir));
}

/* ---- the kill, once the sender sleeps */

struct killer {
	const struct sender *sender;
	pid_t pid;
	uint64_t sleeps;
	int64_t at_ms;
	pthread_t thread;
};

static uint64_t sleeps_of(const struct sender *s)
{
	struct nmx_stats stats;

	nmx_port_stats(s->port, &stats);
	return stats.sleeps;
}

static void *kill_it(void *arg)
{
	struct killer *killer = arg;

	for (int64_t deadline = now_ms() + PATIENCE_MS; sleeps_of(killer->sender) == killer->sleeps; nap_us(200))
		must(now_ms() < deadline, "the sender does not sleep");
	nap_us(5000);
	killer->at_ms = now_ms();
	kill_now(killer->pid);
	return NULL;
}

static void kill_when_it_sleeps(struct killer *killer, const struct sender *sender, pid_t pid)
{
	*killer = (struct killer){ .sender = sender, .pid = pid, .sleeps = sleeps_of(sender) };
	must(pthread_create(&killer->thread, NULL, kill_it, killer) == 0, "no thread");
}

/* Since the kill, and never before it. */
static int64_t waited(struct killer *killer)
{
	int64_t now = now_ms();

	must(pthread_join(killer->thread, NULL) == 0, "no thread");
	must(now >= killer->at_ms, "woken before the kill");
	return now - killer->at_ms;
}

/* ---- rounds: each says how many ms the sender waited */

static int64_t a_wait_ends(void)
{
	struct receiver b = { .name = "vale0:b" };
	struct killer killer;
	struct sender s;
	int64_t ms;

	start(&b);
	s = begin();
	fill(&s, 1);
	must_wait(&s, 1);
	kill_when_it_sleeps(&killer, &s, b.pid);
	must(nmx_tx_wait(s.tx, SLOTS - 1, PATIENCE_MS) == 1, "no room after the death");
	ms = waited(&killer);
	end(&s);
	return ms;
}

static int64_t a_descriptor_becomes_ready(void)
{
	struct receiver b = { .name = "vale0:b" };
	struct killer killer;
	struct sender s;
	struct pollfd fd;
	int64_t ms;
	int n = 0;

	start(&b);
	s = begin();
	fd = nmx_tx_pollfd(s.tx);
	fill(&s, 1);
	while (nmx_tx_space(s.tx) > 0)
		put(&s, 1);
	kill_when_it_sleeps(&killer, &s, b.pid);
	for (int64_t deadline = now_ms() + PATIENCE_MS; (n = nmx_tx_sync(s.tx)) == 0;) {
		must(poll(&fd, 1, PATIENCE_MS) >= 0, "poll failed");
		must(now_ms() < deadline, "no room after the death");
	}
	ms = waited(&killer);
	must(n == SLOTS - 1, "sync says %d", n);
	end(&s);
	return ms;
}

/* The other process is not the one that is watched, and what waits for it is first in the ring. */
static int64_t a_wait_for_several_ends(void)
{
	struct receiver b = { .name = "vale0:b" }, c = { .name = "vale0:c" };
	struct killer killer;
	struct sender s;
	uint32_t space;
	int64_t ms;

	start(&b);
	start(&c);
	s = begin();
	fill(&s, 1);
	fill(&s, 2);
	must_wait(&s, 2);
	must_wait(&s, 1);
	space = nmx_tx_space(s.tx);
	kill_when_it_sleeps(&killer, &s, c.pid);
	must(nmx_tx_wait(s.tx, space + 1, PATIENCE_MS) == 1, "no room after the death");
	ms = waited(&killer);
	must(nmx_tx_wait(s.tx, space + 2, 0) == 0, "there is room where nobody receives");
	kill_now(b.pid);
	must(nmx_tx_wait(s.tx, SLOTS - 1, PATIENCE_MS) == 1, "no room after both deaths");
	end(&s);
	return ms;
}

static void is_soon(int64_t (*round)(void), const char *what)
{
	int64_t least = PATIENCE_MS;

	for (int i = 0; i < ROUNDS && least > SOON_MS; i++) {
		int64_t ms = round();

		least = ms < least ? ms : least;
	}
	must(least <= SOON_MS, "%s: at the earliest %lld ms after the kill", what, (long long)least);
}

int main(int argc, char **argv)
{
	attack_begin("waiting", argc, argv, 3, 0);
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		is_soon(a_wait_ends, "nmx_tx_wait");
		is_soon(a_descriptor_becomes_ready, "the ring's descriptor");
		is_soon(a_wait_for_several_ends, "nmx_tx_wait for several");
	}
	return attack_end("%u rounds: who waits for a process that is killed goes on", attack.count);
}
