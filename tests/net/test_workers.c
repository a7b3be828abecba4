/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Workers on an interface: a thread for each of its queues, and for its host rings, each with what came in there and
 * nothing else; stopped and started anew, and told when the interface goes down or away.
 */
#include "rings.h"

#include <nmx/worker.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { HOST, NEIGHBOUR, MTU = 1500, QUEUES = 4, EACH = 600, ROUNDS = 3, FLOWS = 16, OF_FLOW = 20 };

struct tally {
	_Atomic uint32_t packets, link_downs;
};

/* Gives back what comes, or only counts it where there is no way back. */
static int bounce(struct nmx_worker *self)
{
	struct tally *tally = self->state;
	uint32_t done;
	int n = 0;

	while (n >= 0 && !nmx_worker_stopping(self)) {
		n = nmx_rx_sync(self->rx);
		atomic_fetch_add(&tally->link_downs, n == NMX_ERR_LINK_DOWN);
		for (done = 1; n > 0 && done > 0;) {
			done = nmx_forward(self->rx, self->tx, UINT32_MAX);
			atomic_fetch_add(&tally->packets, done);
			n = nmx_tx_sync(self->tx);
		}
		if (n == NMX_ERR_LINK_DOWN)
			n = 0;
		if (n == 0)
			n = nmx_rx_wait(self->rx, -1);
	}
	return n < 0 ? n : 0;
}

static int count(struct nmx_worker *self)
{
	struct pollfd stop = { .fd = self->stop_fd, .events = POLLIN };
	struct tally *tally = self->state;
	int n = 0;

	if (!self->rx)
		return poll(&stop, 1, -1) == 1 ? 0 : NMX_ERR_IO;

	while (n >= 0 && !nmx_worker_stopping(self)) {
		while ((n = nmx_rx_sync(self->rx)) > 0)
			nmx_rx_for_each (self->rx, frame)
				atomic_fetch_add(&tally->packets, frame.len > 0);
		if (n == 0)
			n = nmx_rx_wait(self->rx, -1);
	}
	return n < 0 ? n : 0;
}

static struct nmx_workers *start(struct nmx_port *port, int (*fn)(struct nmx_worker *worker), uint32_t expected)
{
	struct nmx_worker_options options = { .state_bytes = sizeof(struct tally) };
	struct nmx_workers *workers = NULL;
	struct nmx_report why;

	EXPECT(nmx_workers_start(&workers, port, fn, NULL, &options, &why) == 0, "%s", why.text);
	EXPECT(workers && nmx_workers_join(workers, 0, NULL) == (int)expected, "other than %u workers", expected);
	return workers;
}

static uint32_t tally_of(const struct nmx_workers *workers, uint32_t index)
{
	return atomic_load(&((struct tally *)nmx_workers_get(workers, index)->state)->packets);
}

static void a_worker_for_each_queue(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0", NULL), *other = rings_open(NEIGHBOUR, "eth0", NULL);
	struct flow flows[QUEUES] = { 0 };
	struct nmx_workers *workers;

	for (int round = 0; round < ROUNDS && expect_result() == 0; round++) {
		workers = start(port, bounce, QUEUES);
		for (uint32_t q = 0; q < QUEUES && workers; q++) {
			struct nmx_tx *tx = rings_tx(other, q);
			struct nmx_rx *rx = rings_rx(other, q);

			for (uint32_t done = 0; done < EACH && rings_send(tx, &flows[q], 200) && rings_receive(rx, &flows[q], 200); done += 200)
				;
			nmx_tx_close(tx);
			nmx_rx_close(rx);
			EXPECT(tally_of(workers, q) == EACH, "worker %u: %u packets", q, tally_of(workers, q));
		}
		nmx_workers_close(workers);
	}
	nmx_close(port);
	nmx_close(other);
}

/* The host's ring comes after those of the queues, which may be more one way than the other. */
static void a_worker_for_the_host(const char *name, uint32_t queues)
{
	struct nmx_port *port = rings_open(HOST, name, NULL);
	struct nmx_workers *workers = start(port, count, queues + 1);
	static struct child talk;
	const struct nmx_worker *last;
	int64_t deadline = now_ms() + patience(PATIENCE_MS);

	last = nmx_workers_get(workers, queues);
	EXPECT(last->rx && last->tx, "%s: the host's worker has not both rings", name);
	net_script(HOST, "ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:08 dev eth0");
	net_run(HOST, &talk, ARGV(net_args.talk, "flows", "10.9.0.2", "9", "16", "20"));
	child_ends(&talk, 0);
	while (tally_of(workers, queues) < FLOWS * OF_FLOW && now_ms() < deadline)
		sleep_ms(1);
	EXPECT(tally_of(workers, queues) == FLOWS * OF_FLOW, "%s: %u packets of the host", name, tally_of(workers, queues));
	for (uint32_t q = 0; q < queues; q++)
		EXPECT(tally_of(workers, q) == 0, "%s: worker %u: %u packets", name, q, tally_of(workers, q));
	nmx_workers_stop(workers);
	EXPECT(nmx_workers_join(workers, -1, NULL) == 0, "%s: an error", name);
	nmx_workers_close(workers);
	nmx_close(port);
}

/* Down is no reason to end; away is, and the report says so. */
static void an_interface_that_goes_away_ends_them(void)
{
	struct nmx_port *port = rings_open(HOST, "eth0", NULL);
	struct nmx_workers *workers = start(port, bounce, QUEUES);
	int64_t deadline = now_ms() + patience(PATIENCE_MS);
	struct nmx_report why;
	uint32_t told = 0;

	net_script(HOST, "ip link set eth0 down");
	while (told < QUEUES && now_ms() < deadline) {
		told = 0;
		for (uint32_t q = 0; q < QUEUES; q++)
			told += atomic_load(&((struct tally *)nmx_workers_get(workers, q)->state)->link_downs);
		sleep_ms(1);
	}
	EXPECT(told == QUEUES && nmx_workers_join(workers, 0, NULL) == QUEUES, "%u were told that it is down", told);
	net_script(HOST, "ip link del eth0");
	EXPECT(nmx_workers_join(workers, patience(PATIENCE_MS), &why) == NMX_ERR_GONE, "%s", why.text);
	EXPECT(strstr(why.text, "of \"eth0\"") && strstr(why.text, nmx_strerror(NMX_ERR_GONE)), "%s", why.text);
	nmx_workers_close(workers);
	nmx_close(port);
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_QUIET);
	net_address(HOST, "eth0", "10.9.0.1/24");
	net_snapshot(HOST, "eth0", &before);
	a_worker_for_each_queue();
	a_worker_for_the_host("eth0*", QUEUES);
	a_worker_for_the_host("eth0*@conf:rx-rings=1", QUEUES);
	a_worker_for_the_host("eth0^", 0);
	net_script(HOST, "ip neigh flush dev eth0");
	net_same_within(HOST, "eth0", &before, 1000);
	an_interface_that_goes_away_ends_them();
	run_dir_is_empty();
	return expect_result();
}
