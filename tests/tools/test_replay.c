/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Captures made for the purpose: lengths at the edges, every format, files that end badly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "run.h"
#include "strict_json.h"

#define CHAIN_64 131072 /* bytes of the longest chain */
#define SECOND   UINT64_C(1000000000)

static struct child replay, dump;
static char in[128], out[128];

/* Both ends.  The one that is to be there first is given a moment. */
static void through(const char *slots, bool replay_first, int code)
{
	if (!replay_first)
		NMX_START(&dump, "dump", "t}1", out, "--dir", run_dir, "--slots", slots, "-q", "--json", "--timeout", "3");
	else
		NMX_START(&replay, "replay", in, "t{1", "--dir", run_dir, "--slots", slots, "-q", "--json", "-r", "max");
	sleep_ms(50);
	if (replay_first)
		NMX_START(&dump, "dump", "t}1", out, "--dir", run_dir, "--slots", slots, "-q", "--json", "--timeout", "3");
	else
		NMX_START(&replay, "replay", in, "t{1", "--dir", run_dir, "--slots", slots, "-q", "--json", "-r", "max");
	child_ends(&replay, code);
	child_ends(&dump, 0);
	EXPECT(!strict_json(replay.out), "not JSON: %s", replay.out);
	EXPECT(!strict_json(dump.out), "not JSON: %s", dump.out);
}

static void check_counts(uint64_t packets, uint64_t empty, uint64_t too_long)
{
	EXPECT(json_number(&replay, "packets") == (int64_t)packets, "%s", replay.out);
	EXPECT(json_number(&replay, "empty") == (int64_t)empty, "%s", replay.out);
	EXPECT(json_number(&replay, "too_long") == (int64_t)too_long, "%s", replay.out);
	EXPECT(json_number(&dump, "packets") == (int64_t)packets, "%s", dump.out);
}

static const uint32_t edges[] = { 0, 1, 19, 0, 60, 2047, 2048, 2049, 4096, 4097, 65589, CHAIN_64 - 1, CHAIN_64, CHAIN_64 + 1, 0, 60 };
#define NUM_EDGES (sizeof(edges) / sizeof(*edges))

static void make_edges(enum capture_kind kind)
{
	struct capture c;

	capture_begin(&c, in, kind, 1);
	for (unsigned turn = 0; turn < 20; turn++)
		for (size_t i = 0; i < NUM_EDGES; i++)
			capture_add(&c, edges[i], SECOND * 1000);
	capture_end(&c);
}

/* In every format, in either order of starting, and through rings that can chain less. */
static void edges_in_every_format(void)
{
	static const struct {
		const char *text;
		uint64_t max;
	} slots[] = { { "1024", CHAIN_64 }, { "2", 2048 }, { "3", 4096 }, { "64", 63 * 2048 }, { "65", CHAIN_64 }, { "66", CHAIN_64 } };
	struct carried c;

	for (enum capture_kind kind = 0; kind < NUM_CAPTURE_KINDS; kind++) {
		make_edges(kind);
		for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
			if (i > 0 && kind != CAPTURE_NS)
				continue;
			if (!EXPECT(capture_count(in, slots[i].max, &c), "libpcap cannot read %s", capture_kind_names[kind]))
				return;
			EXPECT(c.packets + c.empty + c.too_long == 20 * NUM_EDGES, "the test's capture is wrong");
			through(slots[i].text, (kind + i) % 2, 0);
			check_counts(c.packets, c.empty, c.too_long);
			capture_same(in, out, slots[i].max, 1);
			run_dir_is_empty();
		}
	}
}

static void what_cannot_be_carried_is_said(void)
{
	make_edges(CAPTURE_US);
	EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q", "-r", "max") == 0, "%s", replay.err);
	child_says(&replay, "60 not sent: the capture kept no byte of them");
	child_says(&replay, "20 not sent: longer than this port can chain");
}

static void dump_waits_only_for_what_can_come(void)
{
	make_edges(CAPTURE_NS);
	NMX_START(&dump, "dump", "t}1", out, "--dir", run_dir, "-q", "--json", "-n", "240");
	NMX_START(&replay, "replay", in, "t{1", "--dir", run_dir, "-q", "--json", "-r", "max");
	child_ends(&dump, 0);
	child_ends(&replay, 0);
	check_counts(240, 60, 20);
}

static void loops(void)
{
	make_edges(CAPTURE_NG);
	NMX_START(&dump, "dump", "t}1", out, "--dir", run_dir, "-q", "--json");
	NMX_START(&replay, "replay", in, "t{1", "--dir", run_dir, "-q", "--json", "-r", "max", "--loop", "3");
	child_ends(&dump, 0);
	child_ends(&replay, 0);
	check_counts(3 * 240, 3 * 60, 3 * 20);
	capture_same(in, out, CHAIN_64, 3);
}

/* Stamps are read in their own unit: three packets 150 ms apart; one behind the first goes at once. */
static void as_captured(void)
{
	for (enum capture_kind kind = 0; kind < NUM_CAPTURE_KINDS; kind++) {
		struct capture c;
		int64_t begin;

		capture_begin(&c, in, kind, 1);
		capture_add(&c, 60, SECOND * 1000 + SECOND / 4 * 3);
		capture_add(&c, 60, SECOND * 1000);
		capture_add(&c, 60, SECOND * 1000 + SECOND / 100 * 90);
		capture_add(&c, 60, SECOND * 1001 + SECOND / 100 * 5);
		capture_end(&c);
		begin = now_ms();
		EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q", "--json") == 0, "%s", replay.err);
		EXPECT(now_ms() - begin >= 295 && now_ms() - begin < 2000, "%s: took %lld ms, not 300", capture_kind_names[kind],
		       (long long)(now_ms() - begin));
		EXPECT(json_number(&replay, "packets") == 4, "%s", replay.out);
	}
}

static void no_packets(void)
{
	struct capture c;

	for (enum capture_kind kind = 0; kind < NUM_CAPTURE_KINDS; kind++) {
		capture_begin(&c, in, kind, 1);
		capture_end(&c);
		through("1024", kind == CAPTURE_NS, 0);
		check_counts(0, 0, 0);
		capture_same(in, out, CHAIN_64, 1);
		run_dir_is_empty();
	}
}

/* Cut anywhere: what is whole arrives, and the rest is said, with exit code 1. */
static void truncated(enum capture_kind kind, off_t cut)
{
	struct capture c;
	struct stat st;

	capture_begin(&c, in, kind, 1);
	for (uint32_t i = 0; i < 10; i++)
		capture_add(&c, 100 + i, SECOND);
	capture_end(&c);
	stat(in, &st);
	EXPECT(truncate(in, st.st_size - cut) == 0, "truncate");
	through("1024", false, 1);
	check_counts(9, 0, 0);
	child_says(&replay, in);
	capture_same(in, out, CHAIN_64, 1);
}

static void files_that_end_badly(void)
{
	static const off_t cuts[] = { 1, 30, 109, 110, 120 };
	struct capture c;

	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		truncated(CAPTURE_US, cuts[i]);
		truncated(CAPTURE_NG, cuts[i]);
	}
	for (off_t len = 0; len < 24; len += 5) {
		capture_begin(&c, in, CAPTURE_US, 1);
		capture_end(&c);
		EXPECT(truncate(in, len) == 0, "truncate");
		EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q") == 1, "cut to %d bytes: %s", (int)len, replay.out);
		child_says(&replay, in);
	}
	EXPECT(NMX_RUN(&replay, "replay", nmx_path, "null:", "-q") == 1, "a program is no capture: %s", replay.out);
	child_says(&replay, nmx_path);
	child_says(&replay, "unknown file format");
}

/* A record that claims more bytes than any can have. */
static void a_length_that_is_nonsense(void)
{
	struct capture c;
	FILE *file;
	static const uint32_t record[4] = { 1, 1, 0x7fffffff, 0x7fffffff };

	capture_begin(&c, in, CAPTURE_US, 1);
	capture_add(&c, 60, SECOND);
	capture_end(&c);
	file = fopen(in, "ab");
	fwrite(record, sizeof(record), 1, file);
	fclose(file);
	EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q", "--json", "-r", "max") == 1, "%s", replay.out);
	EXPECT(json_number(&replay, "packets") == 1, "%s", replay.out);
	child_says(&replay, in);
}

static void another_link_type(void)
{
	for (enum capture_kind kind = 0; kind < NUM_CAPTURE_KINDS; kind++) {
		struct capture c;

		capture_begin(&c, in, kind, 101); /* LINKTYPE_RAW */
		capture_add(&c, 60, SECOND);
		capture_end(&c);
		EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q", "--json") == 1, "%s", replay.out);
		child_says(&replay, in);
		child_says(&replay, "not Ethernet; --any-link sends it all the same");
		EXPECT(NMX_RUN(&replay, "replay", in, "null:", "-q", "--json", "--any-link") == 0, "%s", replay.err);
		EXPECT(json_number(&replay, "packets") == 1, "%s", replay.out);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	/* Beside the namespace, not in it: what is left in it counts. */
	snprintf(in, sizeof(in), "%s.in", run_dir);
	snprintf(out, sizeof(out), "%s.out", run_dir);
	edges_in_every_format();
	what_cannot_be_carried_is_said();
	dump_waits_only_for_what_can_come();
	loops();
	as_captured();
	no_packets();
	files_that_end_badly();
	a_length_that_is_nonsense();
	another_link_type();
	run_dir_is_empty();
	remove(in);
	remove(out);
	return expect_result();
}
