/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Leaving: each departure is told once, to a receiver that looks all the time; a close while the segment is locked by
 * somebody who stands still is made up for; and a sync beside such a lock and a dead peer does not stand still
 * itself.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "crash.h"
#include "shm/segment.h"

static const struct nmx_options small = { .tx_slots = 16, .rx_slots = 16 };
static _Atomic uint32_t told, received;
static _Atomic bool over;

static void *look_all_the_time(void *arg)
{
	struct nmx_rx *rx = arg;

	while (!atomic_load(&over)) {
		int n = nmx_rx_sync(rx);

		must(n >= 0 || n == NMX_ERR_PEER_GONE, "sync: %s", nmx_strerror(n));
		atomic_fetch_add(&told, n == NMX_ERR_PEER_GONE);
		nmx_rx_for_each (rx, frame) {
			(void)frame;
			atomic_fetch_add(&received, 1);
		}
	}
	return NULL;
}

static void send_and_leave(uint32_t times)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_tx *tx;

	must(open_port(&port, "x{1", &small, &why) == 0, "%s", why.text);
	must(nmx_tx_ring(port, 0, &tx) == 0 && nmx_tx_send(tx, "", 1) == 0 && nmx_tx_sync(tx) >= 0, "cannot send");
	nmx_tx_close(tx);
	nmx_close(port);
	for (int64_t deadline = now_ms() + 10000; atomic_load(&told) < times; nap_us(20))
		must(now_ms() < deadline, "departure %u is not told", times);
	must(atomic_load(&received) == times, "departure %u is told before what was sent", times);
	nap_us(200); /* for a second time */
	must(atomic_load(&told) == times, "departure %u is told twice", times);
}

static void each_departure_is_told_once(void)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_rx *rx;
	pthread_t thread;

	atomic_store(&told, 0);
	atomic_store(&received, 0);
	atomic_store(&over, false);
	must(open_port(&port, "x}1", &small, &why) == 0, "%s", why.text);
	must(nmx_rx_ring(port, 0, &rx) == 0, "no ring");
	must(pthread_create(&thread, NULL, look_all_the_time, rx) == 0, "no thread");
	for (uint32_t i = 1; i <= 200; i++)
		send_and_leave(i);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	nmx_rx_close(rx);
	nmx_close(port);
	must(count_files(attack.dir, "") == 0, "files are left: %s", list_files(attack.dir));
}

/* ---- beside a lock that stands still */

static struct nmx__segment *holder;

static void hold(void)
{
	struct nmx_report why;

	must(nmx__seg_look(&holder, attack.dir, "default", &why) == 0, "%s", why.text);
	must(nmx__seg_lock(holder, &why) == 0, "%s", why.text);
}

static void let_go(void)
{
	nmx__seg_unlock(holder);
	nmx__seg_unlook(holder);
}

static void a_close_beside_it_is_made_up_for(void)
{
	struct nmx_port *port, *other, *again;
	struct nmx_report why;

	must(open_port(&port, "x{1", &small, &why) == 0, "%s", why.text);
	must(open_port(&other, "y{1", &small, &why) == 0, "%s", why.text);
	hold();
	nmx_close(port);
	let_go();
	must(open_port(&again, "x{1", &small, &why) == 0, "after a close beside a held lock: %s", why.text);
	must_add_up("after a close beside a held lock", NULL);
	nmx_close(again);
	nmx_close(other);
	must(count_files(attack.dir, "") == 0, "files are left: %s", list_files(attack.dir));
}

static void be_peer(void *ready)
{
	struct nmx_report why;
	struct nmx_port *port;

	must(open_port(&port, "x{1", &small, &why) == 0, "%s", why.text);
	must(write(*(int *)ready, "", 1) == 1, "cannot say so");
	for (;;)
		pause();
}

static void a_sync_beside_it_is_not_held_up(void)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_rx *rx;
	int ready[2], n = 0;
	int64_t began, worst = 0;
	char byte;
	pid_t peer;

	must(pipe(ready) == 0, "no pipe");
	peer = spawn(be_peer, &ready[1]);
	must(read(ready[0], &byte, 1) == 1, "no peer");
	must(open_port(&port, "x}1", &small, &why) == 0 && nmx_rx_ring(port, 0, &rx) == 0, "%s", why.text);
	hold();
	kill_now(peer);
	for (int64_t end = now_ms() + 300; now_ms() < end && n == 0;) {
		began = now_ms();
		n = nmx_rx_sync(rx);
		worst = now_ms() - began > worst ? now_ms() - began : worst;
	}
	must(n == 0, "sync says %d while nobody can recover the peer", n);
	must(worst < 1000, "a sync took %lld ms", (long long)worst);
	let_go();
	for (int64_t deadline = now_ms() + 10000; n == 0 && now_ms() < deadline;)
		n = nmx_rx_sync(rx);
	must(n == NMX_ERR_PEER_GONE, "sync says %d when it can", n);
	close(ready[0]);
	close(ready[1]);
	nmx_rx_close(rx);
	nmx_close(port);
	must(count_files(attack.dir, "") == 0, "files are left: %s", list_files(attack.dir));
}

int main(int argc, char **argv)
{
	attack_begin("leaving", argc, argv, 1, 0);
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		each_departure_is_told_once();
		a_close_beside_it_is_made_up_for();
		a_sync_beside_it_is_not_held_up();
	}
	return attack_end(
	    "%u rounds: departures are told once, closes beside a held lock made up for, syncs not held up",
	    attack.count);
}
