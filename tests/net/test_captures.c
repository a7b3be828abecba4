/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every capture of a directory over a veth pair: replayed out of one end, dumped at the other, and what comes out is what
 * went in, byte for byte and in order.  Of a capture, those packets are sent that an Ethernet of this MTU carries.
 * $NMX_TEST_PCAPS names another directory.
 */
#include <dirent.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "world.h"

enum { SENDER, RECEIVER, ETHERNET = 14, MAX_FILES = 500, STRAY_MS = 20 };

static struct child replay, dump;
static char in[128], out[128];
static uint64_t packets_in_all;

/* A copy with what fits; how many packets, or -1. */
static int64_t keep_what_fits(const char *file, uint32_t mtu)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *from = pcap_open_offline(file, error), *like = pcap_open_dead(DLT_EN10MB, 262144);
	pcap_dumper_t *to = pcap_dump_open(like, in);
	struct pcap_pkthdr *head, kept;
	const u_char *data;
	int64_t count = 0;

	while (from && to && pcap_next_ex(from, &head, &data) == 1) {
		if (head->caplen < ETHERNET || head->caplen > mtu + ETHERNET)
			continue;
		kept = *head;
		kept.len = kept.caplen;
		pcap_dump((u_char *)to, &kept, data);
		count++;
	}
	if (to)
		pcap_dump_close(to);
	pcap_close(like);
	if (from)
		pcap_close(from);
	return EXPECT(from && to, "%s: %s", file, error) ? count : -1;
}

static void through(const char *file, uint32_t mtu, const char *queues)
{
	int64_t count = keep_what_fits(file, mtu);
	char number[32];

	if (count <= 0)
		return;
	snprintf(number, sizeof(number), "%lld", (long long)count);
	NMX_IN(RECEIVER, &dump, "dump", "eth0", out, "--dir", run_dir, "-q", "--json", "-n", number, "--timeout",
	       "5");
	if (!net_await_port(&dump))
		return;
	NMX_IN(SENDER, &replay, "replay", in, "eth0", "--dir", run_dir, "-r", "max", "-q", "--json");
	child_ends(&replay, 0);
	child_ends(&dump, 0);
	EXPECT(json_number(&replay, "packets") == count, "%s: MTU %u, %s queues: %s", file, mtu, queues, replay.out);
	EXPECT(json_number(&dump, "packets") == count, "%s: MTU %u, %s queues: %s", file, mtu, queues, dump.out);
	EXPECT(json_sum(&replay, "drops") + json_sum(&dump, "drops") == 0, "%s: %s%s", file, replay.out, dump.out);
	if (!capture_same(in, out, UINT64_MAX, 1))
		fprintf(stderr, "    with MTU %u and %s queues: %s%s%s%s\n", mtu, queues, replay.out, replay.err,
		        dump.out, dump.err);
	remove(out);
	packets_in_all += (uint64_t)count;
}

static int is_capture(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && (strcmp(dot, ".pcap") == 0 || strcmp(dot, ".pcapng") == 0 || strcmp(dot, ".cap") == 0);
}

int main(int argc, char **argv)
{
	static const struct {
		int queues;
		const char *text;
		uint32_t mtu;
	} worlds[] = { { 1, "1", 1500 }, { 4, "4", 1500 }, { 1, "1", 9000 }, { 4, "4", 9000 } };
	const char *path;
	struct dirent **entries;
	int n;

	net_begin(argc, argv, 2);
	net_needs_ports();
	path = getenv("NMX_TEST_PCAPS") ? getenv("NMX_TEST_PCAPS") : net_args.captures;
	n = scandir(path, &entries, is_capture, alphasort);
	if (n <= 0) {
		printf("skipped: no captures in \"%s\"; NMX_TEST_PCAPS=DIRECTORY names another place\n", path);
		return SKIP;
	}
	snprintf(in, sizeof(in), "%s.in", run_dir);
	snprintf(out, sizeof(out), "%s.out", run_dir);
	for (size_t w = 0; w < sizeof(worlds) / sizeof(*worlds); w++) {
		net_join(SENDER, "eth0", RECEIVER, "eth0", worlds[w].queues, (int)worlds[w].mtu, NET_QUIET);
		for (int i = 0; i < n; i++) {
			char file[4096];

			snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
			through(file, worlds[w].mtu, worlds[w].text);
		}
		net_script(SENDER, "ip link del eth0");
	}
	remove(in);
	run_dir_is_empty();
	printf("%d captures, %llu packets over 1 and 4 queues, MTU 1500 and 9000\n", n,
	       (unsigned long long)packets_in_all);
	return expect_result();
}
