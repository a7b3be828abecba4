/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Children by fork of a program whose threads are at work with ports: a child has nothing of its parent's.  The
 * parent's death is noticed although children live, a child's end changes nothing, and every call in it says so.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"

enum { PATIENCE_MS = 10000, PACKETS = 100, CHILDREN = 24, SURVIVORS = 8 };

struct shared {
	_Atomic uint64_t sent;
	_Atomic int forked; /* children that have looked at everything */
	_Atomic int num_survivors;
	_Atomic int survivor[SURVIVORS];
	_Atomic int complaint; /* the child's check that failed */
};
static struct shared *shared;

/* ---- the parent: one thread sends, one opens and closes, one forks */

static struct nmx_port *port;
static struct nmx_tx *tx;
static struct nmx_rx *rx;
static _Atomic int stop;

static void *sending(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		uint64_t number = atomic_load(&shared->sent);
		int n;

		if (nmx_tx_send(tx, &number, sizeof(number)) == 0)
			number++;
		n = nmx_tx_sync(tx);
		must(n >= 0 || n == NMX_ERR_PEER_GONE, "parent: sync: %s", nmx_strerror(n));
		atomic_store(&shared->sent, number);
		if (n == 0)
			(void)!nmx_tx_wait(tx, 0, 10);
	}
	return NULL;
}

/* gcc 12's AddressSanitizer may leave the lock of its allocator taken in a child, if a thread allocates when it is forked. */
static pthread_mutex_t allocating = PTHREAD_MUTEX_INITIALIZER;
#ifdef __SANITIZE_ADDRESS__
static const bool fork_apart = true;
#else
static const bool fork_apart = false;
#endif

static void begin_alone(void)
{
	if (fork_apart)
		pthread_mutex_lock(&allocating);
}

static void end_alone(void)
{
	if (fork_apart)
		pthread_mutex_unlock(&allocating);
}

/* In a segment that it is alone in: each time the files are made, locked and removed, which a fork may cut through. */
static void *opening(void *unused)
{
	struct nmx_options o = { .segment = "passing", .tx_slots = 4, .rx_slots = 4 };

	(void)unused;
	while (!atomic_load(&stop)) {
		struct nmx_report why;
		struct nmx_port *other;
		int err;

		begin_alone();
		err = open_port(&other, "p{1", &o, &why);
		must(err == 0, "parent: open beside forks: %s", why.text);
		nmx_close(other);
		end_alone();
	}
	return NULL;
}

/* A child may do all that a child of threads may, and what it does with the parent's ports is harmless. */
static int complaint_of_child(void)
{
	struct nmx_wait_entry entry = { .tx = tx };
	struct nmx_rx *other_rx;
	struct nmx_port *own;
	struct nmx_report why;
	uint64_t zero = 0;

	if (nmx_tx_space(tx) != 0 || nmx_tx_send(tx, &zero, sizeof(zero)) == 0)
		return 1;
	if (nmx_tx_sync(tx) != NMX_ERR_FORKED || nmx_rx_sync(rx) != NMX_ERR_FORKED)
		return 2;
	if (nmx_wait(&entry, 1, 0) != NMX_ERR_FORKED || nmx_rx_pollfd(rx).fd >= 0)
		return 3;
	if (nmx_rx_ring(port, 0, &other_rx) != NMX_ERR_FORKED)
		return 4;
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
	if (open_port(&own, "child{1", &(struct nmx_options){ .segment = "child", .tx_slots = 4, .rx_slots = 4 }, &why) < 0)
		return why.err == NMX_ERR_BUSY ? 0 : 5; /* another child has it */
	nmx_close(own);
	return 0;
}

static void be_child(bool survive)
{
	int complaint = complaint_of_child();

	if (complaint)
		atomic_store(&shared->complaint, complaint);
	if (survive)
		atomic_store(&shared->survivor[atomic_fetch_add(&shared->num_survivors, 1)], getpid());
	atomic_fetch_add(&shared->forked, 1);
	for (int i = 0; survive && i < 300; i++) /* no kill at the parent's death: it is to outlive it */
		nap_us(100000);
	_exit(0);
}

static void be_parent(void *unused)
{
	struct nmx_report why;
	pthread_t threads[2];

	(void)unused;
	must(open_port(&port, "x{1", &(struct nmx_options){ .tx_slots = 16, .rx_slots = 16 }, &why) == 0, "parent: %s", why.text);
	must(nmx_tx_ring(port, 0, &tx) == 0 && nmx_rx_ring(port, 0, &rx) == 0, "no rings");
	pthread_create(&threads[0], NULL, sending, NULL);
	pthread_create(&threads[1], NULL, opening, NULL);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		begin_alone();
		pid = fork();
		must(pid >= 0, "fork: %m");
		if (pid > 0)
			end_alone();
		else
			be_child(i < SURVIVORS);
		if (i >= SURVIVORS)
			reap_ok(pid, PATIENCE_MS, "a child");
		nap_us(500);
	}
	for (;;)
		nap_us(100000);
}

/* ---- the peer */

static void receive_until(struct nmx_rx *peer, uint64_t *expected, uint64_t until)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct nmx_frame frame;

	while (*expected < until) {
		int n = nmx_rx_sync(peer);

		must(n >= 0, "peer: while the parent lives: %s", nmx_strerror(n));
		must(now_ms() < deadline, "peer: no packets any more (at %llu)", (unsigned long long)*expected);
		while (nmx_rx_recv(peer, &frame)) {
			uint64_t number;

			memcpy(&number, frame.data, sizeof(number));
			must(number == *expected, "peer: packet %llu, expected %llu", (unsigned long long)number, (unsigned long long)*expected);
			++*expected;
		}
		if (n == 0)
			(void)!nmx_rx_wait(peer, 100);
	}
}

static void must_notice_death(struct nmx_rx *peer, uint64_t *expected)
{
	int64_t began = now_ms();
	struct nmx_frame frame;
	int n;

	while ((n = nmx_rx_sync(peer)) != NMX_ERR_PEER_GONE) {
		must(n >= 0, "peer: %s", nmx_strerror(n));
		must(now_ms() - began < 2500, "peer: the parent's death is not noticed while children live");
		while (nmx_rx_recv(peer, &frame))
			++*expected;
		if (n == 0)
			(void)!nmx_rx_wait(peer, 100);
	}
	must(*expected >= atomic_load(&shared->sent), "peer: %llu packets arrived of %llu that were handed over",
	     (unsigned long long)*expected, (unsigned long long)shared->sent);
}

static void check_children(void)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (atomic_load(&shared->forked) < CHILDREN) {
		must(now_ms() < deadline, "a child hangs: %d of %d have come through", shared->forked, CHILDREN);
		nap_us(500);
	}
	must(atomic_load(&shared->complaint) == 0, "a child's check %d failed", shared->complaint);
}

static void run_round(void)
{
	struct nmx_options o = { .tx_slots = 16, .rx_slots = 16 };
	struct nmx_port *peer_port;
	struct nmx_report why;
	struct nmx_rx *peer;
	uint64_t expected = 0;
	pid_t parent;

	memset(shared, 0, sizeof(*shared));
	parent = spawn(be_parent, NULL);
	must(open_port(&peer_port, "x}1", &o, &why) == 0, "peer: %s", why.text);
	must(nmx_rx_ring(peer_port, 0, &peer) == 0, "no ring");
	while (atomic_load(&shared->forked) < CHILDREN && now_ms() > 0) {
		receive_until(peer, &expected, expected + 10);
		must(waitpid(parent, NULL, WNOHANG) == 0, "the parent has ended");
	}
	check_children();
	receive_until(peer, &expected, expected + PACKETS);
	kill_now(parent);
	must_notice_death(peer, &expected);
	must_add_up("after the parent's death", NULL);
	nmx_rx_close(peer);
	nmx_close(peer_port);
	/* The thread that opened and closed was killed with it, maybe half way; its segment must not be locked by a child. */
	must(open_port(&peer_port, "p{1", &(struct nmx_options){ .segment = "passing", .tx_slots = 4, .rx_slots = 4 }, &why) == 0,
	     "the parent's other segment: %s", why.text);
	nmx_close(peer_port);
	for (int i = 0; i < shared->num_survivors; i++)
		kill(shared->survivor[i], SIGKILL);
	must(count_files(attack.dir, "") == 0, "files are left");
}

int main(int argc, char **argv)
{
	attack_begin("fork", argc, argv, 8, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared != MAP_FAILED, "no memory");
	for (attack.round = 0; attack.round < attack.count; attack.round++)
		run_round();
	return attack_end("%u rounds, %u children each", attack.count, CHILDREN);
}
