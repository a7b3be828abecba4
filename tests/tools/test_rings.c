/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The commands on ports with several rings, as interfaces have one for each queue; and an echo that is not nmx pong. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "capture.h"
#include "frame.h"
#include "run.h"

static struct child near, far;

#define START(child, ...) NMX_START(child, __VA_ARGS__, "--dir", run_dir, "-q", "--json")

static void intact(int64_t count, int64_t flows)
{
	static const char *const bad[] = { "lost",    "reordered", "duplicate", "too_late",
		                           "corrupt", "foreign",   "untracked" };

	child_ends(&near, 0);
	child_ends(&far, 0);
	EXPECT(json_number(&near, "packets") == count && json_number(&far, "intact") == count, "%s%s", near.out,
	       far.out);
	EXPECT(json_number(&far, "flows") == flows, "%s", far.out);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(json_number(&far, bad[i]) == 0, "%s: %s", bad[i], far.out);
}

static void all_arrive(const char *flows, const char *slots, const char *count, const char *rate)
{
	START(&far, "sink", "x}1@conf:rx-rings=3", "--slots", slots, "--verify", "-n", count);
	START(&near, "gen", "x{1@conf:tx-rings=3", "--slots", slots, "--verify", "-n", count, "--flows", flows, "-l",
	      "60-700", "-r", rate);
	intact(strtoll(count, NULL, 10), strtoll(flows, NULL, 10));
	run_dir_is_empty();
}

/* A flow keeps to its ring, so its order holds; and the count is exact. */
static void gen_spreads_flows_over_rings(void)
{
	all_arrive("1", "1024", "100000", "max");
	all_arrive("2", "1024", "100001", "max");
	all_arrive("7", "256", "100000", "max");
	all_arrive("5", "3", "20000", "max");
	all_arrive("64", "64", "5003", "20k");
	child_pin(true);
	all_arrive("7", "16", "20000", "max");
	child_pin(false);
}

static int64_t packets_of(struct nmx_rx *rx)
{
	int64_t packets = 0;

	while (nmx_rx_sync(rx) > 0)
		nmx_rx_for_each (rx, frame)
			packets++;
	return packets;
}

struct end {
	struct nmx_port *port;
	struct nmx_rx *rx[3];
	struct nmx_tx *tx[3];
};

/* All of a port's rings; those that it has not stay NULL. */
static void end_open(struct end *end, const char *name)
{
	struct nmx_report why;

	memset(end, 0, sizeof(*end));
	if (!EXPECT(nmx_open(&end->port, name, &(struct nmx_options){ .directory = run_dir }, &why) == 0, "%s",
	            why.text))
		exit(1);
	for (uint32_t i = 0; i < 3; i++)
		(void)!(nmx_rx_ring(end->port, i, &end->rx[i]) | nmx_tx_ring(end->port, i, &end->tx[i]));
}

static void end_close(struct end *end)
{
	for (uint32_t i = 0; i < 3; i++) {
		nmx_rx_close(end->rx[i]);
		nmx_tx_close(end->tx[i]);
	}
	nmx_close(end->port);
}

/* Which ring got how many. */
static void expect_on_rings(struct end *end, int64_t a, int64_t b, int64_t c)
{
	int64_t got[3];

	for (int i = 0; i < 3; i++)
		got[i] = packets_of(end->rx[i]);
	EXPECT(got[0] == a && got[1] == b && got[2] == c, "%lld, %lld, %lld packets", (long long)got[0],
	       (long long)got[1], (long long)got[2]);
}

/* Nobody takes a packet but us, afterwards: so they time out, and what they sent is in the rings. */
static void one_ring_is_chosen(void)
{
	struct capture capture;
	struct end end;
	char path[128];

	end_open(&end, "x}1@conf:rx-rings=3,tx-rings=1,slots=64");
	START(&near, "gen", "x{1", "-n", "30", "--flows", "3", "--ring", "2", "--timeout", "200ms");
	child_ends(&near, 1);
	EXPECT(json_number(&near, "slots_not_taken") == 30, "%s", near.out);
	expect_on_rings(&end, 0, 0, 30);
	START(&near, "gen", "x{1", "-n", "30", "--flows", "2", "--timeout", "200ms");
	child_ends(&near, 1);
	int64_t first = packets_of(end.rx[0]);
	EXPECT(first > 0 && first < 30, "ring 0: %lld", (long long)first);
	expect_on_rings(&end, 0, 30 - first, 0);
	snprintf(path, sizeof(path), "%s.pcap", run_dir);
	capture_begin(&capture, path, CAPTURE_US, 1);
	for (uint32_t i = 0; i < 20; i++)
		capture_add(&capture, 100, i);
	capture_end(&capture);
	START(&near, "replay", path, "x{1", "--ring", "1", "--timeout", "200ms", "-r", "max");
	child_ends(&near, 1);
	expect_on_rings(&end, 0, 20, 0);
	START(&near, "replay", path, "x{1", "--ring", "3");
	child_ends(&near, 1);
	child_says(&near, "--ring 3: x{1 has 3 transmit rings, numbered from 0");
	START(&near, "gen", "x{1", "--ring", "3");
	child_ends(&near, 1);
	child_says(&near, "--ring 3: x{1 has 3 transmit rings, numbered from 0");
	START(&near, "gen", "x{1", "--verify", "--dst-port", "7");
	child_ends(&near, 2);
	unlink(path);
	end_close(&end);
	run_dir_is_empty();
}

static void pong_answers_on_the_ring_of_the_question(void)
{
	struct end end;

	end_open(&end, "x{1@conf:rings=3,slots=64");
	START(&far, "pong", "x}1");
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t n = 0; n <= i * 10; n++)
			EXPECT(nmx_tx_send(end.tx[i], &(uint8_t[60]){ 2 }, 60) == 0 && nmx_tx_sync(end.tx[i]) >= 0,
			       "ring %u", i);
	for (int tries = 0; tries < 500 && (nmx_rx_sync(end.rx[2]) < 21 || nmx_rx_sync(end.rx[1]) < 11); tries++)
		sleep_ms(10);
	expect_on_rings(&end, 1, 11, 21);
	end_close(&end);
	child_ends(&far, 0);
	run_dir_is_empty();
}

/* What a host with an echo service does: addresses and ports exchanged, an identification of its own. */
static void turn_as_a_host_does(uint8_t *data, uint32_t len)
{
	uint8_t port[2];

	frame_turn(data, len);
	memcpy(port, data + 34, 2);
	memmove(data + 34, data + 36, 2);
	memcpy(data + 36, port, 2);
	uint32_t sum = (uint32_t)(data[24] << 8 | data[25]);
	data[18] = 0xab; /* was 0, so the checksum is less by as much */
	sum = sum >= 0xab00 ? sum - 0xab00 : sum + 0xffff - 0xab00;
	data[24] = (uint8_t)(sum >> 8);
	data[25] = (uint8_t)sum;
}

static void ping_knows_an_ordinary_echo(void)
{
	struct end end;
	int n = 0;

	end_open(&end, "x}1");
	START(&near, "ping", "x{1", "-n", "200", "-l", "100", "-s", "192.0.2.1", "-d", "192.0.2.2");
	for (int answered = 0; answered < 200 && n >= 0;) {
		n = nmx_rx_wait(end.rx[0], 5000);
		n = n > 0 ? nmx_rx_sync(end.rx[0]) : -1;
		nmx_rx_for_each (end.rx[0], frame) {
			EXPECT(memcmp(frame.data + 26, "\xc0\0\2\1\xc0\0\2\2", 8) == 0, "the addresses");
			turn_as_a_host_does(frame.data, frame.len);
			n = nmx_tx_forward(end.tx[0], &frame);
			answered++;
		}
		int err = nmx_tx_sync(end.tx[0]);
		EXPECT(err >= 0 || err == NMX_ERR_PEER_GONE, "%s", nmx_strerror(err)); /* after the last it goes */
	}
	child_ends(&near, 0);
	EXPECT(json_number(&near, "answered") == 200 && json_number(&near, "corrupt") == 0, "%s", near.out);
	end_close(&end);
	run_dir_is_empty();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	gen_spreads_flows_over_rings();
	one_ring_is_chosen();
	pong_answers_on_the_ring_of_the_question();
	ping_knows_an_ordinary_echo();
	return expect_result();
}
