/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* nmx bridge between pipes: nothing is lost, doubled or damaged, whatever the other ends do, and nobody spins. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "capture.h"
#include "run.h"
#include "strict_json.h"
#include "verify.h"

static struct child bridge, gen, sink;

#define GEN(port, ...)  NMX_START(&gen, "gen", port, "--dir", run_dir, "-q", "--json", "--verify", __VA_ARGS__)
#define SINK(port, ...) NMX_START(&sink, "sink", port, "--dir", run_dir, "-q", "--json", "--verify", __VA_ARGS__)
#define BRIDGE(...)     NMX_START(&bridge, "bridge", "--dir", run_dir, "-q", "--json", __VA_ARGS__)

static void stop_bridge(int code)
{
	kill(bridge.pid, SIGINT);
	child_ends(&bridge, code);
	EXPECT(!strict_json(bridge.out), "not JSON: %s", bridge.out);
}

static void intact(int64_t count)
{
	static const char *const bad[] = { "lost",    "reordered", "duplicate", "too_late",
		                           "corrupt", "foreign",   "untracked" };

	child_ends(&gen, 0);
	child_ends(&sink, 0);
	EXPECT(json_number(&sink, "intact") == count, "%s", sink.out);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(json_number(&sink, bad[i]) == 0, "%s: %s", bad[i], sink.out);
}

/* ---- traffic between processes */

struct kind {
	const char *near_a, *a, *b, *far_b; /* gen or sink on the outer ones, the bridge between the inner ones */
	const char *burst, *slots, *copy;   /* copy: "-c", or NULL */
	const char *count;
	bool copied;
};

/* One way, then the other, over the same bridge. */
static void passes(const struct kind *k)
{
	int64_t n = strtoll(k->count, NULL, 10), bytes;

	BRIDGE(k->a, k->b, "-b", k->burst, "--slots", k->slots, k->copy);
	run_await_processes(1);
	SINK(k->far_b, "-n", k->count, "--slots", k->slots);
	GEN(k->near_a, "-n", k->count, "--slots", k->slots, "-l", "60-1514");
	intact(n);
	bytes = json_number(&sink, "bytes");
	SINK(k->near_a, "-n", k->count, "--slots", k->slots);
	GEN(k->far_b, "-n", k->count, "--slots", k->slots, "--flows", "7");
	intact(n);
	bytes += json_number(&sink, "bytes");
	stop_bridge(0);
	EXPECT(json_number(&bridge, "packets") == n, "%s", bridge.out);
	EXPECT(json_number(&bridge, "bytes_copied") == (k->copied ? bytes : 0), "%s", bridge.out);
	child_says(&bridge, k->copied ? "\"exchange\": false" : "\"exchange\": true");
	EXPECT(json_number(&bridge, "in_hand_at_end") == 0 && json_number(&bridge, "slots_not_taken") == 0, "%s",
	       bridge.out);
	run_dir_is_empty();
}

static void traffic_of_every_kind_passes(void)
{
	static const struct kind kinds[] = {
		{ "a{1", "a}1", "b{1", "b}1", "1024", "1024", NULL, "200000", false },
		{ "a{1", "a}1", "b{1", "b}1", "1024", "1024", "-c", "200000", true },
		{ "a{1@segment=s", "a}1@segment=s", "b{1@segment=t", "b}1@segment=t", "1024", "1024", NULL, "200000",
		  true },
		{ "a{1@segment=s", "a}1@segment=s", "b{1@segment=t", "b}1@segment=t", "1024", "5", "-c", "20000",
		  true },
		{ "a{1", "a}1", "b{1", "b}1", "1", "1023", NULL, "20000", false },
		{ "a{1", "a}1", "b{1", "b}1", "7", "2", NULL, "20000", false },
		{ "a{1", "a}1", "b{1", "b}1", "1024", "3", "-c", "20000", true },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		passes(&kinds[i]);
	child_pin(true);
	passes(&kinds[0]);
	child_pin(false);
}

/* User and system time of a process so far, in clock ticks. */
static long ticks_of(pid_t pid)
{
	unsigned long user = 0, kernel = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		expect_failed(__FILE__, __LINE__, path, "it cannot be read");
	if (file)
		fclose(file);
	return (long)(user + kernel);
}

static void sleeps_for_half_a_second(const char *when)
{
	long before, hundredth = sysconf(_SC_CLK_TCK) / 100;

	sleep_ms(200); /* until it has moved what it can */
	before = ticks_of(bridge.pid);
	sleep_ms(500);
	EXPECT(ticks_of(bridge.pid) - before <= 5 * (hundredth ? hundredth : 1),
	       "%s, it took %ld ticks in half a second", when, ticks_of(bridge.pid) - before);
}

/* Nobody takes anything behind the bridge: it holds up who sends, sleeps, and loses nothing. */
static void a_full_destination_holds_up_the_sender(const char *copy)
{
	BRIDGE("a}1", "b{1", copy);
	run_await_processes(1);
	sleeps_for_half_a_second("idle");
	GEN("a{1", "-n", "20000", "-l", "60-200");
	sleeps_for_half_a_second("with a full destination");
	SINK("b}1", "-n", "20000");
	intact(20000);
	stop_bridge(0);
	run_dir_is_empty();
}

/* What it has in hand when it is stopped is handed on, or said. */
static void what_it_cannot_hand_on_is_said(void)
{
	BRIDGE("a}1", "b{1", "--slots", "64");
	run_await_processes(1);
	GEN("a{1", "-n", "1000", "--timeout", "500ms", "--slots", "64");
	child_ends(&gen, 1);
	stop_bridge(1);
	EXPECT(json_number(&bridge, "in_hand_at_end") == 63, "%s", bridge.out);
	EXPECT(json_number(&bridge, "slots_not_taken") == 63, "%s", bridge.out);
	run_dir_is_empty();
}

static void other_ends_come_and_go(void)
{
	BRIDGE("a}1", "b{1", NULL);
	run_await_processes(1);
	for (int i = 0; i < 5; i++) {
		SINK("b}1", "-n", "5000");
		GEN("a{1", "-n", "5000");
		intact(5000);
	}
	stop_bridge(0);
	EXPECT(json_number(&bridge, "packets") == 25000, "%s", bridge.out);
	child_says(&bridge, "a}1: the other end has closed or died; waiting for another");
	child_says(&bridge, "b{1: the other end has closed or died; waiting for another");
	run_dir_is_empty();
}

/* Killed in full flight: what the others see is whole packets, each once; and the next of each goes on. */
static void anybody_may_be_killed(int which)
{
	struct child *victims[] = { &gen, &sink, &bridge };

	BRIDGE("a}1", "b{1", NULL);
	run_await_processes(1);
	SINK("b}1", NULL);
	GEN("a{1", "-l", "60-1500");
	run_await_processes(3);
	sleep_ms(100);
	kill(victims[which]->pid, SIGKILL);
	child_wait(victims[which], 5000);
	if (which == 2)
		child_wait(&gen, 20000);
	else
		kill(gen.pid, SIGINT);
	if (which == 0) {
		sleep_ms(200);
		kill(sink.pid, SIGINT);
	}
	if (which != 0)
		child_wait(&gen, 20000);
	if (which != 1) {
		child_wait(&sink, 20000);
		EXPECT(json_number(&sink, "intact") > 0, "%s", sink.out);
		EXPECT(json_number(&sink, "duplicate") == 0 && json_number(&sink, "corrupt") == 0, "%s", sink.out);
		EXPECT(json_number(&sink, "reordered") == 0, "%s", sink.out);
		EXPECT(json_number(&sink, "lost") == 0, "%s", sink.out);
	}
	if (which == 2)
		BRIDGE("a}1", "b{1", NULL);
	run_await_processes(1);
	if (which == 1) { /* what was on its way to the dead one is there for the next */
		NMX_START(&sink, "sink", "b}1", "--dir", run_dir, "-q", "--timeout", "300ms");
		child_ends(&sink, 0);
	}
	SINK("b}1", "-n", "10000");
	GEN("a{1", "-n", "10000");
	intact(10000);
	stop_bridge(0);
	run_dir_is_empty();
}

/* ---- long packets, several rings: with ports of our own at the outer ends */

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx[4];
	struct nmx_rx *rx[4];
	uint32_t num_tx, num_rx;
};

static void end_open(struct end *end, const char *name)
{
	struct nmx_options options = { .directory = run_dir, .flags = NMX_CHAINS };
	struct nmx_info info;
	struct nmx_report why;
	bool ok = nmx_open(&end->port, name, &options, &why) == 0;

	if (!EXPECT(ok, "%s", why.text))
		exit(1);
	nmx_port_info(end->port, &info);
	end->num_tx = info.tx_rings;
	end->num_rx = info.rx_rings;
	for (uint32_t i = 0; i < end->num_tx; i++)
		ok &= nmx_tx_ring(end->port, i, &end->tx[i]) == 0;
	for (uint32_t i = 0; i < end->num_rx; i++)
		ok &= nmx_rx_ring(end->port, i, &end->rx[i]) == 0;
	EXPECT(ok, "%s: no rings", name);
}

static void end_close(struct end *end)
{
	for (uint32_t i = 0; i < end->num_tx; i++)
		nmx_tx_close(end->tx[i]);
	for (uint32_t i = 0; i < end->num_rx; i++)
		nmx_rx_close(end->rx[i]);
	nmx_close(end->port);
}

static void fill(uint8_t *data, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static uint32_t long_len(uint32_t i) { return 1 + i * 1237 % 20000; }

static void send_long(struct nmx_tx *tx, const uint8_t *data, uint32_t len)
{
	int err;

	for (int tries = 0; (err = nmx_tx_send_long(tx, data, len)) == NMX_ERR_WOULD_BLOCK && tries < 100; tries++)
		EXPECT(nmx_tx_sync(tx) >= 0 && nmx_tx_wait(tx, len / 2048 + 1, 100) >= 0, "wait");
	EXPECT(err == 0 && nmx_tx_sync(tx) >= 0, "%u bytes: %s", len, nmx_strerror(err));
}

static uint32_t receive_copy(struct nmx_rx *rx, uint8_t *data, uint32_t size)
{
	for (int tries = 0; tries < 100; tries++) {
		if (nmx_rx_sync(rx) > 0) {
			int len = nmx_rx_recv_copy(rx, data, size);

			EXPECT(len > 0, "%s", nmx_strerror(len));
			return len > 0 ? (uint32_t)len : 0;
		}
		EXPECT(nmx_rx_wait(rx, 100) >= 0, "wait");
	}
	expect_failed(__FILE__, __LINE__, "receive_copy", "nothing came");
	return 0;
}

/* Packets of 1 to 10 slots through rings of 16, a burst of one slot: none may be torn, and none may hold up the bridge
 * for ever.  Three of the longest are what fits: one in each pipe, one in the hands of the bridge. */
static void long_packets_pass(const char *a, const char *b, const char *copy)
{
	static uint8_t sent[20480], got[20480];
	struct end from, to;
	uint32_t turns = 3000, received = 0;
	char name[64];

	BRIDGE(a, b, "-b", "1", "--slots", "16", copy);
	run_await_processes(1);
	snprintf(name, sizeof(name), "a{1%s", a + 3);
	end_open(&from, name);
	snprintf(name, sizeof(name), "b}1%s", b + 3);
	end_open(&to, name);
	for (uint32_t i = 0; i < turns; i++) {
		uint32_t len = long_len(i);

		fill(sent, len, i);
		send_long(from.tx[0], sent, len);
		for (; received + 1 < i || (i + 1 == turns && received < turns); received++) {
			len = receive_copy(to.rx[0], got, sizeof(got));
			fill(sent, len, received);
			if (!EXPECT(len == long_len(received) && memcmp(sent, got, len) == 0, "packet %u: %u bytes",
			            received, len)) {
				received = i = turns;
				break;
			}
		}
	}
	stop_bridge(0);
	end_close(&from);
	end_close(&to);
	run_dir_is_empty();
}

/* A chain that the other side's rings can never carry is dropped and counted; those around it pass. */
static void what_can_never_pass_is_counted(const char *copy)
{
	static uint8_t data[2048 * 10];
	struct end from, to;

	end_open(&from, "a{1@conf:slots=64");
	end_open(&to, "b}1@conf:slots=8");
	BRIDGE("a}1", "b{1", copy);
	run_await_processes(2);
	for (uint32_t i = 0; i < 30; i++)
		send_long(from.tx[0], data, i % 3 == 1 ? 2048 * 9 : 100 + i);
	for (uint32_t i = 0; i < 30; i++)
		if (i % 3 != 1)
			EXPECT(receive_copy(to.rx[0], data, sizeof(data)) == 100 + i, "packet %u", i);
	stop_bridge(0);
	EXPECT(json_number(&bridge, "too_long") == 10, "%s", bridge.out);
	end_close(&from);
	end_close(&to);
	run_dir_is_empty();
}

static uint32_t take_all(struct nmx_rx *rx, uint8_t ring)
{
	uint32_t packets = 0;

	while (nmx_rx_wait(rx, 100) > 0 && nmx_rx_sync(rx) > 0)
		nmx_rx_for_each (rx, frame) {
			EXPECT(frame.data[0] % 2 == ring, "a packet of ring %u came on ring %u", frame.data[0], ring);
			packets++;
		}
	return packets;
}

/* Three receive rings, two transmit rings: ring i to ring i modulo 2; two of them share one that is full for a while. */
static void every_ring_is_served(void)
{
	struct end from, to;
	uint32_t got[2] = { 0, 0 };

	end_open(&from, "a{1@conf:tx-rings=3,rx-rings=1,slots=256");
	end_open(&to, "b}1@conf:tx-rings=1,rx-rings=2,slots=16");
	BRIDGE("a}1", "b{1", "-b", "4");
	run_await_processes(2);
	for (uint8_t ring = 0; ring < 3; ring++) {
		for (int i = 0; i < 100; i++)
			EXPECT(nmx_tx_send(from.tx[ring], &(uint8_t[60]){ ring }, 60) == 0, "ring %u", ring);
		EXPECT(nmx_tx_sync(from.tx[ring]) >= 0, "sync");
	}
	sleeps_for_half_a_second("with full rings");
	for (int tries = 0; tries < 100 && got[0] + got[1] < 300; tries++)
		for (uint8_t ring = 0; ring < 2; ring++)
			got[ring] += take_all(to.rx[ring], ring);
	EXPECT(got[0] == 200 && got[1] == 100, "%u and %u packets", got[0], got[1]);
	stop_bridge(0);
	end_close(&from);
	end_close(&to);
	run_dir_is_empty();
}

/* ---- ends, and what is wrong */

static void a_capture_ends_the_bridge(void)
{
	struct capture capture;
	char path[128], name[140];

	snprintf(path, sizeof(path), "%s.pcap", run_dir);
	snprintf(name, sizeof(name), "pcap:%s", path);
	capture_begin(&capture, path, CAPTURE_US, 1);
	for (uint32_t i = 0; i < 3000; i++)
		capture_add(&capture, 60 + i % 1400, i * 1000000ull);
	capture_end(&capture);
	NMX_START(&sink, "sink", "b}1", "--dir", run_dir, "-q", "-n", "3000");
	run_await_processes(1);
	BRIDGE(name, "b{1", NULL);
	child_ends(&bridge, 0);
	child_ends(&sink, 0);
	child_says(&bridge, "\"end\": \"ended\"");
	child_says(&bridge, "nothing goes from b{1 to pcap:");
	EXPECT(json_number(&bridge, "packets") == 3000, "%s", bridge.out);
	unlink(path);
	run_dir_is_empty();
}

static void wrong_names_are_said(void)
{
	EXPECT(NMX_RUN(&bridge, "bridge", "x{1", "--dir", run_dir) == 1, "%d", bridge.code);
	child_says(&bridge, "x{1 alone: only an interface");
	EXPECT(NMX_RUN(&bridge, "bridge", "x{1", "x{1", "--dir", run_dir) == 1, "%d", bridge.code);
	child_says(&bridge, "is open already");
	EXPECT(NMX_RUN(&bridge, "bridge", "x{1", "y{", "--dir", run_dir) == 1, "%d", bridge.code);
	EXPECT(NMX_RUN(&bridge, "bridge", "x{1", "y{1", "-b", "0") == 2, "%d", bridge.code);
	child_says(&bridge, "-b \"0\": at least 1");
	run_dir_is_empty();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	traffic_of_every_kind_passes();
	a_full_destination_holds_up_the_sender(NULL);
	a_full_destination_holds_up_the_sender("-c");
	what_it_cannot_hand_on_is_said();
	other_ends_come_and_go();
	for (int which = 0; which < 3; which++)
		anybody_may_be_killed(which);
	long_packets_pass("a}1", "b{1", NULL);
	long_packets_pass("a}1", "b{1", "-c");
	long_packets_pass("a}1@segment=s", "b{1@segment=t", NULL);
	what_can_never_pass_is_counted(NULL);
	what_can_never_pass_is_counted("-c");
	every_ring_is_served();
	a_capture_ends_the_bridge();
	wrong_names_are_said();
	return expect_result();
}
