/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs the functions that docs/guide.md shows: snippets.py puts them into SNIPPETS. */
#include SNIPPETS

#include <stdlib.h>

#define CHECK(condition) check(condition, #condition, __LINE__)
static void check(int condition, const char *what, int line)
{
	if (condition)
		return;
	fprintf(stderr, "guide.c:%d: not so: %s\n", line, what);
	exit(1);
}

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static struct end open_end(const char *name)
{
	struct nmx_options options = { .tx_slots = 512, .rx_slots = 512, .extra_bufs = 1 };
	struct nmx_report why;
	struct end end;

	CHECK(nmx_open(&end.port, name, &options, &why) == 0);
	CHECK(nmx_tx_ring(end.port, 0, &end.tx) == 0 && nmx_rx_ring(end.port, 0, &end.rx) == 0);
	return end;
}

static void close_end(struct end *end)
{
	nmx_tx_close(end->tx);
	nmx_rx_close(end->rx);
	nmx_close(end->port);
}

/* a -- b is one pipe, c -- d another. */
static struct end a, b, c, d;

static void without_copies(void)
{
	struct nmx_buf kept;
	uint8_t number;

	for (number = 1; number <= 3; number++)
		CHECK(nmx_tx_send(a.tx, &number, 1) == 0);
	CHECK(nmx_tx_sync(a.tx) >= 0 && mark(b.rx, c.tx) >= 0);
	CHECK(nmx_buf_get(d.port, &kept, 1) == 1);
	CHECK(keep_last(d.rx, &kept) == 1 && kept.len == 1 && kept.data[0] == 0x83);
	CHECK(keep_last(d.rx, &kept) == 0 && kept.data[0] == 0x83);
	nmx_buf_put(d.port, &kept, 1);
}

/* Beside a burst that is longer than the ring. */
static void *count_them(void *arg)
{
	uint64_t *packets = arg;

	while (*packets < 2000)
		CHECK(count_until_quiet(b.rx, 100, packets) == 0);
	return NULL;
}

static void batches_and_waits(void)
{
	uint64_t next = 5, packets = 0;
	pthread_t thread;

	nmx_rx_unbind(b.rx);
	CHECK(pthread_create(&thread, NULL, count_them, &packets) == 0);
	CHECK(send_burst(a.tx, &next, 2000) == 0 && next == 2005);
	pthread_join(thread, NULL);
	CHECK(packets == 2000);
	nmx_rx_unbind(b.rx);
	CHECK(nmx_tx_send(c.tx, "x", 1) == 0 && nmx_tx_sync(c.tx) >= 0);
	CHECK(first_of(b.rx, d.rx) == 1);
	CHECK(nmx_tx_send(a.tx, "x", 1) == 0 && nmx_tx_sync(a.tx) >= 0);
	CHECK(first_of(b.rx, d.rx) == 0);
	CHECK(count_until_quiet(b.rx, 0, &packets) == 0 && count_until_quiet(d.rx, 0, &packets) == 0 && packets == 2002);
}

static void workers_count(void)
{
	struct nmx_options options = { .tx_rings = 2, .rx_rings = 2 };
	NMX_AUTO(port) from = NULL;
	NMX_AUTO(port) to = NULL;
	struct nmx_report why;
	int64_t packets = 0;

	CHECK(nmx_open(&from, "workers{1", &options, &why) == 0 && nmx_open(&to, "workers}1", &options, &why) == 0);
	for (uint32_t ring = 0; ring < 2; ring++) {
		NMX_AUTO(tx) tx = NULL;
		uint64_t next = 0;

		CHECK(nmx_tx_ring(from, ring, &tx) == 0 && send_burst(tx, &next, 100) == 0);
	}
	for (int tries = 0; tries < 100 && packets < 200; tries++) { /* what is not received stays in the pipe */
		int64_t some = tally_for(to, 100, &why);

		CHECK(some >= 0);
		packets += some;
	}
	CHECK(packets == 200);
}

static void a_bridge(void)
{
	CHECK(nmx_tx_send(a.tx, "there", 6) == 0 && nmx_tx_sync(a.tx) >= 0);
	CHECK(nmx_tx_send(d.tx, "back", 5) == 0 && nmx_tx_sync(d.tx) >= 0);
	CHECK(between(b.rx, c.tx, c.rx, b.tx) == 2);
	CHECK(nmx_rx_sync(d.rx) == 1 && nmx_rx_sync(a.rx) == 1);
}

int main(void)
{
	a = open_end("ab{1");
	b = open_end("ab}1");
	c = open_end("cd{1");
	d = open_end("cd}1");
	without_copies();
	batches_and_waits();
	workers_count();
	a_bridge();
	CHECK(complain("no such{port") == NMX_ERR_BAD_NAME);
	CHECK(complain("loop:") == 0);
	CHECK(losses(b.port) == 0);
	close_end(&a);
	close_end(&b);
	close_end(&c);
	close_end(&d);
	return 0;
}
