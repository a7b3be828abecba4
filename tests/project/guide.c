/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs the functions that docs/guide.md shows: snippets.py puts them into SNIPPETS. */
#include SNIPPETS

#include <stdlib.h>
#include <uv.h>

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
	nmx_rx_for_each (d.rx, frame)
		CHECK(strcmp((char *)frame.data, "there") == 0);
	nmx_rx_for_each (a.rx, frame)
		CHECK(strcmp((char *)frame.data, "back") == 0);
}

/* ---- loops */

static void *send_later(void *arg)
{
	uint64_t next = 0;

	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	CHECK(send_burst(arg, &next, 300) == 0);
	nmx_tx_unbind(arg);
	return NULL;
}

static void by_poll(void)
{
	uint64_t next = 0, packets = 0;
	pthread_t thread;

	CHECK(send_burst(a.tx, &next, 100) == 0);
	nmx_tx_unbind(c.tx);
	CHECK(pthread_create(&thread, NULL, send_later, c.tx) == 0);
	CHECK(serve(b.rx, d.rx, 400, &packets) == 0 && packets == 400);
	pthread_join(thread, NULL);
}

static void in_libuv(void)
{
	struct stream s = { .total = 3000 };
	struct end from = open_end("uv{1"), to = open_end("uv}1");
	uv_loop_t loop;

	CHECK(uv_loop_init(&loop) == 0 && start_stream(&s, &loop, from.tx, to.rx) == 0);
	CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
	CHECK(s.sent == 3000 && s.received == 3000);
	from.tx = NULL;
	to.rx = NULL;
	close_end(&from);
	close_end(&to);
}

static void set_done(struct nmx_rx *rx, int err, void *arg)
{
	CHECK(err == 0);
	nmx_rx_for_each (rx, frame)
		*(bool *)arg = frame.len > 0;
}

static void in_an_io_uring(void)
{
	struct end from = open_end("uring{1"), to = open_end("uring}1");
	struct nmx_uring_rx *receiver;
	struct nmx_uring *loop;
	struct io_uring uring;
	bool done = false;

	if (io_uring_queue_init(8, &uring, 0) == 0) { /* containers may forbid it */
		CHECK(nmx_uring_open(&loop, &uring) == 0 && nmx_uring_rx_open(&receiver, loop, to.rx, set_done, &done) == 0);
		CHECK(nmx_tx_send(from.tx, "x", 1) == 0 && nmx_tx_sync(from.tx) >= 0);
		CHECK(run_loop(&uring, loop, &done) == 0);
		nmx_uring_close(loop);
		io_uring_queue_exit(&uring);
		to.rx = NULL;
	}
	close_end(&from);
	close_end(&to);
}

/* ---- a switch */

static void a_switch(void)
{
	static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
	struct end ends[3] = { open_end("vale0:a"), open_end("vale0:b"), open_end("vale0:c") };
	struct nmx_report why;

	CHECK(ports_of_vale0(&why) == 3);
	CHECK(write_to(ends[0].tx, mac[1], mac[0], "who?", 5) == 0 && nmx_tx_sync(ends[0].tx) >= 0);
	CHECK(nmx_rx_sync(ends[1].rx) == 1 && nmx_rx_sync(ends[2].rx) == 1); /* to all: nobody knows it */
	CHECK(write_to(ends[1].tx, mac[0], mac[1], "I", 2) == 0 && nmx_tx_sync(ends[1].tx) >= 0);
	CHECK(write_to(ends[0].tx, mac[1], mac[0], "you", 4) == 0 && nmx_tx_sync(ends[0].tx) >= 0);
	CHECK(nmx_rx_sync(ends[0].rx) == 1 && nmx_rx_sync(ends[1].rx) == 2 && nmx_rx_sync(ends[2].rx) == 1);
	CHECK(write_to(ends[0].tx, mac[1], mac[0], NULL, 5000) == NMX_ERR_PACKET_TOO_LARGE);
	for (int i = 0; i < 3; i++)
		close_end(&ends[i]);
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
	by_poll();
	in_libuv();
	in_an_io_uring();
	a_switch();
	CHECK(complain("no such{port") == NMX_ERR_BAD_NAME);
	CHECK(complain("loop:") == 0);
	CHECK(losses(b.port) == 0);
	close_end(&a);
	close_end(&b);
	close_end(&c);
	close_end(&d);
	return 0;
}
