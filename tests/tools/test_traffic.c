/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* gen and sink: every packet once, in order, undamaged; and what each says when the other end is not there, goes, or
 * dies.  By hand, for more packets than there is time for here:
 *     NMX_TEST_COUNT=100M meson test -C build --timeout-multiplier 100 traffic
 * which is the first case only then; NMX_TEST_COUNT is whatever nmx gen -n takes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nmx/nmx.h>

#include "run.h"
#include "strict_json.h"
#include "verify.h"

static struct child gen, sink;

static void check_intact(int64_t count)
{
	static const char *const bad[] = { "lost", "reordered", "duplicate", "too_late", "corrupt", "foreign", "untracked" };

	EXPECT(!strict_json(gen.out), "not JSON: %s", gen.out);
	EXPECT(!strict_json(sink.out), "not JSON: %s", sink.out);
	EXPECT(json_number(&gen, "packets") == count, "%s", gen.out);
	EXPECT(json_number(&sink, "packets") == count, "%s", sink.out);
	EXPECT(json_number(&sink, "intact") == count, "%s", sink.out);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		EXPECT(json_number(&sink, bad[i]) == 0, "%s: %s", bad[i], sink.out);
	EXPECT(strstr(gen.out, "\"drops\": {}") && strstr(sink.out, "\"drops\": {}"), "drops: %s%s", gen.out, sink.out);
}

static int64_t count_of(const char *text)
{
	int64_t unit = strchr(text, 'G') ? 1000000000 : strchr(text, 'M') ? 1000000 : strchr(text, 'k') ? 1000 : 1;

	return strtoll(text, NULL, 10) * unit;
}

static int patience_ms = 20000;

static void all_arrive(const char *count, const char *len, const char *slots, const char *flows)
{
	NMX_START(&sink, "sink", "x}1", "--dir", run_dir, "--slots", slots, "-q", "--json", "--verify", "-n", count);
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "--slots", slots, "-q", "--json", "--verify", "-n", count, "-l", len, "--flows",
	          flows);
	EXPECT(child_wait(&gen, patience_ms) == 0, "%d %s", gen.code, gen.err);
	EXPECT(child_wait(&sink, patience_ms) == 0, "%d %s", sink.code, sink.err);
	check_intact(count_of(count));
	run_dir_is_empty();
}

static void a_million(void)
{
	const char *count = getenv("NMX_TEST_COUNT");

	if (count)
		patience_ms = 24 * 3600 * 1000;
	all_arrive(count ? count : "1M", "60", "1024", "1");
	child_pin(true);
	all_arrive(count ? count : "1M", "60", "1024", "7");
	child_pin(false);
	all_arrive(count ? count : "300k", "60-1514", "1024", "64");
}

static void lengths_and_rings(void)
{
	static const char *const lens[] = { "61", "64", "65", "127-130", "1500", "2047", "2048", "60-2048" };
	static const char *const slots[] = { "2", "3", "5", "64", "1023", "32768" };

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
		all_arrive("20k", lens[i], "256", "3");
	for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++)
		all_arrive(i < 3 ? "20k" : "200k", "60-200", slots[i], "1");
	child_pin(true);
	all_arrive("20k", "60-200", "3", "1");
	child_pin(false);
}

/* A reader that sleeps now and then, and takes a few at a time: gen waits for it and loses nothing. */
static void slow_reader(void)
{
	struct nmx_options options = { .directory = run_dir, .flags = NMX_RX_ONLY };
	struct nmx_report why = { 0 };
	struct nmx_port *port;
	struct nmx_rx *rx;
	struct nmx_frame frame;
	struct verify *verify = verify_new();
	int n = 0;

	if (!EXPECT(nmx_open(&port, "x}1", &options, &why) == 0, "%s", why.text) || !EXPECT(nmx_rx_ring(port, 0, &rx) == 0, "no ring"))
		return;
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--json", "--verify", "-n", "20k");
	for (int turn = 0; n >= 0 && verify->intact + verify->corrupt < 20000 && turn < 20000; turn++) {
		n = nmx_rx_sync(rx);
		for (int i = 0; i < 97 && nmx_rx_recv(rx, &frame); i++)
			verify_packet(verify, frame.data, frame.len, 0);
		sleep_ms(n > 0 ? 1 : 2);
	}
	EXPECT(verify->intact == 20000 && verify_bad(verify) == 0, "%llu intact, %llu bad, %s", (unsigned long long)verify->intact,
	       (unsigned long long)verify_bad(verify), n < 0 ? nmx_strerror(n) : "");
	EXPECT(nmx_rx_sync(rx) <= 0, "more than was sent");
	child_ends(&gen, 0);
	EXPECT(nmx_rx_sync(rx) == NMX_ERR_PEER_GONE || nmx_rx_sync(rx) == 0, "more than was sent");
	verify_free(verify);
	nmx_rx_close(rx);
	nmx_close(port);
	run_dir_is_empty();
}

static int send_and_close(const char *name, int packets)
{
	struct nmx_options options = { .directory = run_dir };
	struct nmx_port *port;
	struct nmx_tx *tx;
	int err = nmx_open(&port, name, &options, NULL);

	if (err < 0)
		return err;
	err = nmx_tx_ring(port, 0, &tx);
	for (int i = 0; err == 0 && i < packets; i++)
		err = nmx_tx_send(tx, "here today", 10);
	err = err < 0 ? err : nmx_tx_sync(tx);
	nmx_tx_close(tx);
	nmx_close(port);
	return err < 0 ? err : 0;
}

/* The other end comes and goes between two looks: nothing has changed at the second, and yet it must be told. */
static void comes_and_goes_unseen(void)
{
	struct nmx_options options = { .directory = run_dir };
	struct nmx_port *port;
	struct nmx_rx *rx;
	struct nmx_frame frame;

	if (!EXPECT(nmx_open(&port, "x}1", &options, NULL) == 0, "open") || !EXPECT(nmx_rx_ring(port, 0, &rx) == 0, "no ring"))
		return;
	for (int packets = 0; packets < 4; packets++) {
		EXPECT(nmx_rx_sync(rx) == 0 && nmx_rx_wait(rx, 0) == 0, "nobody has come, nobody has gone");
		EXPECT(send_and_close("x{1", packets) == 0, "send");
		EXPECT(nmx_rx_wait(rx, 0) == 1, "the wait");
		if (packets)
			EXPECT(nmx_rx_sync(rx) == packets, "not %d packets", packets);
		for (int i = 0; i < packets; i++)
			EXPECT(nmx_rx_recv(rx, &frame), "packet %d", i);
		EXPECT(nmx_rx_sync(rx) == NMX_ERR_PEER_GONE, "its going is told");
	}
	nmx_rx_close(rx);
	nmx_close(port);
	run_dir_is_empty();
}

static void nobody_sends(void)
{
	EXPECT(NMX_RUN(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--timeout", "200ms", "-n", "10") == 1, "%d", sink.code);
	child_says(&sink, "time is up after 0 of 10 packets");
	EXPECT(NMX_RUN(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--timeout", "200ms", "--verify") == 1, "%d", sink.code);
	child_says(&sink, "nothing to check");
	EXPECT(NMX_RUN(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--timeout", "200ms") == 1, "%d", sink.code);
	child_says(&sink, "time is up: no packet came");
	run_dir_is_empty();
}

static void nobody_takes(void)
{
	EXPECT(NMX_RUN(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--timeout", "200ms", "-n", "10") == 1, "%d", gen.code);
	child_says(&gen, "nobody took the last packets (slots: 10): is the other end of x{1 open?");
	EXPECT(NMX_RUN(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--timeout", "200ms", "-n", "10k") == 1, "%d", gen.code);
	child_says(&gen, "nobody took the last packets (slots: 1,023)");
	run_dir_is_empty();
}

/* The signal ends the one with a summary and the other by what it sees; nothing that was sent is lost. */
static void stopped(bool stop_gen, int signal_number)
{
	NMX_START(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--json", "--verify");
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--json", "--verify", "-r", "200k", "-b", "16");
	run_await_processes(2);
	sleep_ms(100); /* some packets */
	kill(stop_gen ? gen.pid : sink.pid, signal_number);
	child_ends(&sink, 0);
	if (stop_gen) {
		child_ends(&gen, 0);
		EXPECT(json_number(&gen, "packets") == json_number(&sink, "packets"), "%s%s", gen.out, sink.out);
	} else {
		child_ends(&gen, 1);
		child_says(&gen, "the other end has gone");
	}
	EXPECT(json_number(&sink, "packets") > 0, "%s", sink.out);
	EXPECT(!strict_json(sink.out) && !strict_json(gen.out), "not JSON: %s%s", sink.out, gen.out);
	run_dir_is_empty();
}

static void killed(bool kill_gen)
{
	NMX_START(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--verify", "-n", "1G");
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--verify");
	run_await_processes(2);
	kill(kill_gen ? gen.pid : sink.pid, SIGKILL);
	child_wait(kill_gen ? &gen : &sink, 5000);
	child_ends(kill_gen ? &sink : &gen, 1);
	child_says(kill_gen ? &sink : &gen, "the other end has gone");
	if (kill_gen)
		child_says(&sink, "0 lost, 0 reordered, 0 duplicate, 0 corrupt");
	/* Whoever comes next finds nothing of them. */
	all_arrive("10k", "60-1500", "128", "1");
}

/* Without -n, the death of the sender is the end of the stream, and is said. */
static void killed_and_said(void)
{
	NMX_START(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--json");
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "-r", "10k");
	run_await_processes(2);
	kill(gen.pid, SIGKILL);
	child_wait(&gen, 5000);
	child_ends(&sink, 0);
	child_says(&sink, "\"end\": \"peer_gone\"");
	run_dir_is_empty();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	a_million();
	if (getenv("NMX_TEST_COUNT"))
		return expect_result();
	lengths_and_rings();
	slow_reader();
	comes_and_goes_unseen();
	nobody_sends();
	nobody_takes();
	stopped(true, SIGINT);
	stopped(false, SIGINT);
	stopped(true, SIGTERM);
	killed(true);
	killed(false);
	killed_and_said();
	return expect_result();
}
