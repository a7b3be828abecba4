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

enum { SENDER, RECEIVER, ETHERNET = 14, ETHERNET_MTU = 1500, MAX_FILES = 500, STRAY_MS = 20 };

static struct child replay, dump;
static char in[128], out[128];
static uint64_t packets_in_all;

/* A copy of what fits.  How many packets, or -1.  With a large MTU, none unless it makes a difference. */
static int64_t keep_what_fits(const char *file, uint32_t mtu)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *from = pcap_open_offline(file, error), *like = pcap_open_dead(DLT_EN10MB, 262144);
	pcap_dumper_t *to = pcap_dump_open(like, in);
	struct pcap_pkthdr *head, kept;
	const u_char *data;
	int64_t count = 0;
	bool large = mtu <= ETHERNET_MTU;

	while (from && to && pcap_next_ex(from, &head, &data) == 1) {
		if (head->caplen < ETHERNET || head->caplen > mtu + ETHERNET)
			continue;
		large |= head->caplen > ETHERNET_MTU + ETHERNET;
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
	return EXPECT(from && to, "%s: %s", file, error) ? (large ? count : 0) : -1;
}

/* False: a failure, after which the next would not be worth the time. */
static bool through(const char *file, uint32_t mtu, const char *queues)
{
	int64_t count = keep_what_fits(file, mtu);
	/* Room for all of a large one, which is sent at once. */
	const char *slots = count < 500 ? "1024" : "8192";
	char number[32];
	bool good;

	if (count <= 0)
		return count == 0;
	snprintf(number, sizeof(number), "%lld", (long long)count);
	NMX_IN(RECEIVER, &dump, "dump", "eth0", out, "--dir", run_dir, "-q", "--json", "-n", number, "--timeout", "5",
	       "--slots", slots);
	if (!net_await_port(&dump))
		return false;
	NMX_IN(SENDER, &replay, "replay", in, "eth0", "--dir", run_dir, "-r", "max", "-q", "--json");
	good = child_ends(&replay, 0);
	good = child_ends(&dump, 0) && good;
	good = good && EXPECT(json_number(&replay, "packets") == count, "%s", replay.out);
	good = good && EXPECT(json_number(&dump, "packets") == count, "%s", dump.out);
	good =
	    good && EXPECT(json_sum(&replay, "drops") + json_sum(&dump, "drops") == 0, "%s%s", replay.out, dump.out);
	good = good && capture_same(in, out, UINT64_MAX, 1);
	if (!good)
		fprintf(stderr, "    %s with MTU %u and %s queues: %s%s%s%s\n", file, mtu, queues, replay.out,
		        replay.err, dump.out, dump.err);
	remove(out);
	packets_in_all += (uint64_t)count;
	return good;
}

/* A program that did not ask for chains sees none: what is longer than a slot is dropped, and counted as that. */
static void long_packets_without_chains(void)
{
	static const uint32_t lens[] = { 60, 2048, 2049, 1514, 9014, 60, 4097 };
	struct capture c;

	capture_begin(&c, in, CAPTURE_NS, DLT_EN10MB);
	for (size_t i = 0; i < 10 * sizeof(lens) / sizeof(*lens); i++)
		capture_add(&c, lens[i % (sizeof(lens) / sizeof(*lens))], i);
	capture_end(&c);
	/* It checks what gen sends, of which nothing comes: so it fails, but it counts. */
	NMX_IN(RECEIVER, &dump, "sink", "eth0", "--verify", "--dir", run_dir, "-q", "--json", "--timeout", "1");
	if (!net_await_port(&dump))
		return;
	NMX_IN(SENDER, &replay, "replay", in, "eth0", "--dir", run_dir, "-r", "max", "-q", "--json");
	child_ends(&replay, 0);
	child_ends(&dump, 1);
	EXPECT(json_number(&dump, "foreign") == 40, "%s%s", dump.out, dump.err);
	EXPECT(json_sum(&dump, "drops") == 30 && json_has(&dump, "too_long") && json_number(&dump, "too_long") == 30,
	       "%s", dump.out);
}

/* Rather than that long packets come without their ends.  What only sends may: it sees how long a packet can be. */
static void long_packets_are_refused(void)
{
	static const char *const ports[] = { "eth0", "eth0^", "eth0*", "eth0-0" };

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		NMX_RUN_IN(RECEIVER, &dump, "sink", ports[i], "--dir", run_dir, "-q", "--timeout", "1");
		EXPECT(dump.code == 1, "%s: %d: %s", ports[i], dump.code, dump.err);
		child_says(&dump, "\"eth0\" has MTU 9000");
		child_says(&dump, "Linux 6.6");
		child_says(&dump, "ip link set dev eth0 mtu 1500");
	}
	NMX_RUN_IN(SENDER, &replay, "gen", "eth0", "--dir", run_dir, "-q", "-n", "100", "-l", "1514");
	EXPECT(replay.code == 0, "%d: %s%s", replay.code, replay.out, replay.err);
	printf("MTU 9000: refused, for this kernel has no packets of several buffers for AF_XDP (Linux 6.6)\n");
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
	bool failed = false;
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
		bool refused = worlds[w].mtu > ETHERNET_MTU && !net_takes_long_packets();

		for (int i = 0; i < n && !refused && !failed; i++) {
			char file[4096];

			snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
			failed = !through(file, worlds[w].mtu, worlds[w].text);
		}
		if (refused)
			long_packets_are_refused();
		else if (worlds[w].mtu > ETHERNET_MTU)
			long_packets_without_chains();
		net_script(SENDER, "ip link del eth0");
	}
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	remove(in);
	run_dir_is_empty();
	printf("%d captures, %llu packets over 1 and 4 queues, MTU 1500%s\n", n, (unsigned long long)packets_in_all,
	       net_takes_long_packets() ? " and 9000" : "");
	return expect_result();
}
