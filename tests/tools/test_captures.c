/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every capture of a directory through a pipe: replay in one process, dump in another, and what comes out is what went
 * in.  usage: test_captures NMX DIRECTORY; $NMX_TEST_PCAPS names another directory. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "run.h"
#include "strict_json.h"

#define BUFFER 2048
#define MAX_FILES 500

static struct child replay, dump;

static uint64_t most_bytes(unsigned slots)
{
	unsigned chain = slots == 0 ? 64 : slots - 1; /* a ring shows one slot less than it has */

	return (uint64_t)BUFFER * (chain < 64 ? chain : 64);
}

static void check_counts(const char *file, const struct carried *c)
{
	EXPECT(!strict_json(replay.out), "%s: not JSON: %s", file, replay.out);
	EXPECT(!strict_json(dump.out), "%s: not JSON: %s", file, dump.out);
	EXPECT(json_number(&replay, "packets") == (int64_t)c->packets, "%s: %s", file, replay.out);
	EXPECT(json_number(&replay, "bytes") == (int64_t)c->bytes, "%s: %s", file, replay.out);
	EXPECT(json_number(&replay, "empty") == (int64_t)c->empty, "%s: %s", file, replay.out);
	EXPECT(json_number(&replay, "too_long") == (int64_t)c->too_long, "%s: %s", file, replay.out);
	EXPECT(json_number(&dump, "packets") == (int64_t)c->packets, "%s: %s", file, dump.out);
	EXPECT(json_number(&dump, "bytes") == (int64_t)c->bytes, "%s: %s", file, dump.out);
}

static void check_file(const char *file, const char *slots, unsigned num_slots)
{
	struct carried c;
	char out[300];

	if (!EXPECT(capture_count(file, most_bytes(num_slots), &c), "%s: libpcap cannot read it", file))
		return;
	snprintf(out, sizeof(out), "%s/out.pcap", run_dir);
	NMX_START(&dump, "dump", "netmap:t}1", out, "--dir", run_dir, "--slots", slots, "-q", "--json");
	NMX_START(&replay, "replay", file, "netmap:t{1", "--dir", run_dir, "--slots", slots, "--rate", "max", "-q", "--json",
	          c.link == 1 ? "--" : "--any-link");
	child_ends(&replay, c.cut ? 1 : 0);
	child_ends(&dump, 0);
	check_counts(file, &c);
	capture_same(file, out, most_bytes(num_slots), 1);
	remove(out);
	run_dir_is_empty();
}

static int is_capture(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && (strcmp(dot, ".pcap") == 0 || strcmp(dot, ".pcapng") == 0 || strcmp(dot, ".cap") == 0);
}

int main(int argc, char **argv)
{
	const char *path = getenv("NMX_TEST_PCAPS") ? getenv("NMX_TEST_PCAPS") : argc > 2 ? argv[2] : "";
	struct dirent **entries;
	int n = scandir(path, &entries, is_capture, alphasort);

	if (n <= 0) {
		printf("skipped: no captures in \"%s\"; NMX_TEST_PCAPS=DIRECTORY names another place\n", path);
		return SKIP;
	}
	run_begin(argv[1]);
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		check_file(file, "1024", 1024);
		check_file(file, "8", 8);
		check_file(file, "3", 3);
		free(entries[i]);
	}
	free(entries);
	printf("%d captures through rings of 1024, 8 and 3 slots\n", n);
	return expect_result();
}
