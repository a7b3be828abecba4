/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* loop:, null: and pcap:. */
#include <pcap/pcap.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char file[128];

static const char *in_directory(const char *name)
{
	static char port_name[160];

	snprintf(file, sizeof(file), "%s/%s", support_directory(), name);
	snprintf(port_name, sizeof(port_name), "pcap:%s", file);
	return port_name;
}

/* A capture with packets 0 to count - 1 of these lengths. */
static void make_capture(int link_type, const uint32_t *lens, uint32_t count)
{
	pcap_t *pcap = pcap_open_dead(link_type, 262144);
	pcap_dumper_t *dumper = pcap_dump_open(pcap, file);
	static uint8_t data[65536];

	require(dumper != NULL);
	for (uint32_t i = 0; i < count; i++) {
		struct pcap_pkthdr header = { .ts = { 1000 + i, i }, .caplen = lens[i], .len = lens[i] };

		support_write(data, lens[i], i);
		pcap_dump((u_char *)dumper, &header, data);
	}
	pcap_dump_close(dumper);
	pcap_close(pcap);
}

/* ---- loop */

static void rings_of_a_loop_are_apart(void **state)
{
	struct link l = support_link(&support_loop, 8, &(struct nmx_options){ .tx_rings = 4 });
	struct nmx_tx *tx[4] = { l.tx };
	struct nmx_rx *rx[4] = { l.rx };
	struct nmx_info info;

	(void)state;
	nmx_port_info(l.tx_port, &info);
	require_equal(info.rx_rings, 4);
	for (uint32_t i = 1; i < 4; i++) {
		tx[i] = support_tx(l.tx_port, i);
		rx[i] = support_rx(l.rx_port, i);
	}
	for (uint32_t i = 0; i < 4; i++)
		support_send(tx[i], 10 * i, i + 1, 60);
	for (uint32_t i = 0; i < 4; i++) {
		support_expect(rx[i], 10 * i, i + 1, 60);
		require_result(nmx_rx_sync(rx[i]), 0);
	}
	for (uint32_t i = 1; i < 4; i++) {
		nmx_tx_close(tx[i]);
		nmx_rx_close(rx[i]);
	}
	support_unlink(&l);
	support_open_refused("loop:", &(struct nmx_options){ .tx_rings = 2, .rx_rings = 3 }, NMX_ERR_BAD_OPTION, "loop");
	support_open_refused("loop:", &(struct nmx_options){ .tx_slots = 2, .rx_slots = 3 }, NMX_ERR_BAD_OPTION, "loop");
	support_open_refused("loop:", &(struct nmx_options){ .flags = NMX_TX_ONLY }, NMX_ERR_BAD_OPTION, "loop");
}

/* ---- null */

static void null_swallows_what_is_sent(void **state)
{
	struct nmx_port *port = support_open("null:", &(struct nmx_options){ .tx_slots = 5 });
	struct nmx_tx *tx = support_tx(port, 0);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		require_equal(nmx_tx_space(tx), 4);
		support_send(tx, i, 1 + (uint32_t)(i % 4), 100);
		require_result(nmx_tx_wait(tx, 4, -1), 1);
	}
	require_equal(support_stats(port).tx_packets, 2500);
	require_equal(support_stats(port).tx_bytes, 250000);
	require_result(nmx_tx_drain(tx, -1), 0);
	require(nmx_tx_pollfd(tx).fd >= 0 && poll(&(struct pollfd){ .fd = nmx_tx_pollfd(tx).fd, .events = POLLIN }, 1, 10000) == 1);
	nmx_tx_close(tx);
	nmx_close(port);
}

static void null_supplies_frames_as_fast_as_they_are_taken(void **state)
{
	struct nmx_port *port = support_open("null:", &(struct nmx_options){ .rx_slots = 5, .rx_rings = 2 });
	struct nmx_rx *rx = support_rx(port, 1);
	struct nmx_frame frame;
	uint64_t taken = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		require_result(nmx_rx_wait(rx, -1), 1);
		require_result(nmx_rx_sync(rx), 4);
		for (int k = 0; k <= i % 4; k++) {
			require(nmx_rx_recv(rx, &frame));
			require_equal(frame.len, 60);
			require_equal(frame.flags, 0);
			taken++;
		}
	}
	require(nmx_rx_sync(rx) == 4);
	require_equal(support_stats(port).rx_packets, taken);
	nmx_rx_close(rx);
	nmx_close(port);
}

static void null_can_be_one_way(void **state)
{
	struct nmx_port *port = support_open("null:", &(struct nmx_options){ .flags = NMX_RX_ONLY });
	struct nmx_tx *tx = NULL;

	(void)state;
	require_result(nmx_tx_ring(port, 0, &tx), NMX_ERR_INVALID_RING_INDEX);
	nmx_close(port);
}

static void null_resets_on_bad_cursors(void **state)
{
#ifdef NMX_CHECKED
	(void)state;
	print_message("skipped: a checked build stops there (tests/checked)\n");
	skip();
#else
	struct nmx_port *port = support_open("null:", &(struct nmx_options){ .tx_slots = 5, .rx_slots = 5 });
	struct nmx_tx *tx = support_tx(port, 0);
	struct nmx_rx *rx = support_rx(port, 0);

	(void)state;
	tx->ring->head = tx->ring->cur = 5;
	require_result(nmx_tx_sync(tx), NMX_ERR_RESET);
	require_result(nmx_tx_sync(tx), 4);
	rx->ring->head = rx->ring->cur = 99999;
	require_result(nmx_rx_sync(rx), NMX_ERR_RESET);
	require_result(nmx_rx_sync(rx), 4);
	require_equal(support_stats(port).resets, 2);
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
#endif
}

/* ---- pcap */

/* Receives everything; returns the error at the end. */
static int read_all(struct nmx_rx *rx, uint64_t *packets, const uint32_t *lens)
{
	int n;

	while ((n = nmx_rx_sync(rx)) > 0)
		nmx_rx_for_each (rx, frame) {
			require_equal(frame.len, lens[*packets]);
			support_check(frame.data, frame.len, (*packets)++);
		}
	return n;
}

static void a_capture_is_read_to_its_end(void **state)
{
	static uint32_t lens[5000];
	const char *name = in_directory("in.pcap");

	(void)state;
	for (uint32_t i = 0; i < 5000; i++)
		lens[i] = 1 + i % 2048;
	make_capture(DLT_EN10MB, lens, 5000);
	for (uint32_t slots = 2; slots < 2000; slots = slots * 3 + 1) {
		struct nmx_port *port = support_open(name, &(struct nmx_options){ .rx_slots = slots });
		struct nmx_rx *rx = support_rx(port, 0);
		uint64_t packets = 0;

		require_result(nmx_rx_wait(rx, -1), 1);
		require_result(read_all(rx, &packets, lens), NMX_ERR_PEER_GONE); /* a file that has ended brings no more */
		require_equal(packets, 5000);
		require_result(nmx_rx_sync(rx), NMX_ERR_PEER_GONE);
		require_result(nmx_rx_wait(rx, -1), 1);
		require_equal(support_stats(port).rx_packets, 5000);
		nmx_rx_close(rx);
		nmx_close(port);
	}
	unlink(file);
}

static void long_packets_of_a_capture_come_as_chains_or_are_dropped(void **state)
{
	static const uint32_t lens[] = { 60, 5000, 2048, 2049, 0, 9000 };
	const char *name = in_directory("long.pcap");
	static uint8_t data[9000];
	struct nmx_port *port;
	struct nmx_rx *rx;

	(void)state;
	make_capture(DLT_EN10MB, lens, 6);
	port = support_open(name, &(struct nmx_options){ .rx_slots = 5, .flags = NMX_CHAINS });
	rx = support_rx(port, 0);
	for (uint32_t i = 0; i < 4; i++) {
		while (nmx_rx_waiting(rx) == 0)
			require(nmx_rx_sync(rx) > 0);
		require_result(nmx_rx_recv_copy(rx, data, sizeof(data)), (int)lens[i]);
		support_check(data, lens[i], i);
	}
	require_result(nmx_rx_sync(rx), NMX_ERR_PEER_GONE);
	require_equal(support_stats(port).drop_too_long, 1); /* five slots, and the ring has four to give */
	require_equal(support_stats(port).drop_too_short, 1);
	nmx_rx_close(rx);
	nmx_close(port);
	port = support_open(name, NULL);
	rx = support_rx(port, 0);
	require_result(nmx_rx_sync(rx), 2);
	require_equal(support_stats(port).drop_too_long, 3);
	nmx_rx_close(rx);
	nmx_close(port);
	unlink(file);
}

static void a_capture_is_written(void **state)
{
	const char *name = in_directory("out.pcap");
	struct nmx_port *port = support_open(name, &(struct nmx_options){ .flags = NMX_TX_ONLY | NMX_CHAINS, .tx_slots = 5 });
	struct nmx_tx *tx = support_tx(port, 0);
	static uint8_t data[6000];
	char why[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *bytes;
	struct nmx_rx *rx;
	pcap_t *pcap;

	(void)state;
	require_result(nmx_rx_ring(port, 0, &rx), NMX_ERR_INVALID_RING_INDEX);
	for (uint64_t i = 0; i < 100; i++)
		support_send(tx, i, 1, 60 + (uint32_t)i);
	support_write(data, sizeof(data), 100);
	require_result(nmx_tx_send_long(tx, data, sizeof(data)), 0);
	nmx_tx_close(tx); /* hands it over */
	nmx_close(port);
	pcap = pcap_open_offline(file, why);
	require(pcap != NULL);
	require_equal(pcap_datalink(pcap), DLT_EN10MB);
	for (uint64_t i = 0; i < 101; i++) {
		uint32_t len = i < 100 ? 60 + (uint32_t)i : 6000;

		require_equal(pcap_next_ex(pcap, &header, &bytes), 1);
		require_equal(header->caplen, len);
		require_equal(header->len, len);
		support_check(bytes, len, i);
	}
	require(pcap_next_ex(pcap, &header, &bytes) < 0);
	pcap_close(pcap);
	unlink(file);
}

/* Its standard output is flushed, and so would be its copy of the capture's. */
static void end_as_programs_do(void *arg)
{
	(void)arg;
	exit(0);
}

static void a_forked_child_does_not_write_into_the_capture(void **state)
{
	const char *name = in_directory("forked.pcap");
	struct nmx_port *port = support_open(name, &(struct nmx_options){ .flags = NMX_TX_ONLY });
	struct nmx_tx *tx = support_tx(port, 0);
	struct stat st;

	(void)state;
	support_join(support_fork(end_as_programs_do, NULL));
	support_send(tx, 0, 1, 60);
	nmx_tx_close(tx);
	nmx_close(port);
	require(stat(file, &st) == 0);
	require_equal(st.st_size, 24 + 16 + 60); /* one header, one packet */
	unlink(file);
}

static void a_capture_that_was_cut_gives_what_it_has_and_says_so(void **state)
{
	static const uint32_t lens[] = { 100, 100, 100 };
	const char *name = in_directory("cut.pcap");

	(void)state;
	for (long cut = 1; cut < 116; cut += 7) { /* somewhere in the last packet, its header included */
		struct nmx_port *port;
		struct nmx_rx *rx;
		uint64_t packets = 0;

		make_capture(DLT_EN10MB, lens, 3);
		require(truncate(file, 24 + 3 * 116 - cut) == 0);
		port = support_open(name, NULL);
		rx = support_rx(port, 0);
		require_result(read_all(rx, &packets, lens), NMX_ERR_IO);
		require_equal(packets, 2);
		require_result(nmx_rx_sync(rx), NMX_ERR_IO);
		nmx_rx_close(rx);
		nmx_close(port);
	}
	unlink(file);
}

static void what_is_no_capture_is_refused(void **state)
{
	static const uint32_t lens[] = { 60 };
	const char *name = in_directory("garbage.pcap");
	FILE *f;

	(void)state;
	support_open_refused(name, NULL, NMX_ERR_NO_SUCH, "garbage.pcap");
	f = fopen(file, "w");
	require(f != NULL);
	support_open_refused(name, NULL, NMX_ERR_BIND_FAIL, "truncated");
	fprintf(f, "this is not a capture, whatever its name says\n");
	fclose(f);
	support_open_refused(name, NULL, NMX_ERR_BIND_FAIL, "cannot read a capture");
	/* It is somebody's, and stays as it is. */
	support_open_refused(name, &(struct nmx_options){ .flags = NMX_TX_ONLY }, NMX_ERR_BUSY, "exists already");
	make_capture(DLT_IEEE802_11, lens, 1);
	support_open_refused(name, NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "not of Ethernet");
	unlink(file);
	support_open_refused("pcap:/nonexistent/x.pcap", &(struct nmx_options){ .flags = NMX_TX_ONLY }, NMX_ERR_NO_SUCH, "/nonexistent");
	support_open_refused("pcap:/tmp", NULL, NMX_ERR_BIND_FAIL, "/tmp");
	support_open_refused("pcap:", NULL, NMX_ERR_BAD_NAME, "pcap:");
}

static void a_capture_feeds_a_pipe(void **state)
{
	static uint32_t lens[300];
	const char *name = in_directory("feed.pcap");
	struct link l = support_link(*state, 16, NULL);
	struct nmx_port *port;
	struct nmx_rx *rx;
	uint64_t packets = 0;
	int n = 0;

	for (uint32_t i = 0; i < 300; i++)
		lens[i] = 60 + i;
	make_capture(DLT_EN10MB, lens, 300);
	port = support_open(name, &(struct nmx_options){ .rx_slots = 7 });
	rx = support_rx(port, 0);
	while (packets < 300) {
		if (n != NMX_ERR_PEER_GONE)
			n = nmx_rx_sync(rx);
		nmx_forward(rx, l.tx, UINT32_MAX);
		require(nmx_tx_sync(l.tx) >= 0 && nmx_rx_sync(l.rx) >= 0);
		nmx_rx_for_each (l.rx, frame) {
			require_equal(frame.len, lens[packets]);
			support_check(frame.data, frame.len, packets++);
		}
	}
	nmx_rx_close(rx);
	nmx_close(port);
	support_unlink(&l);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_of_a_loop_are_apart),
		cmocka_unit_test(null_swallows_what_is_sent),
		cmocka_unit_test(null_supplies_frames_as_fast_as_they_are_taken),
		cmocka_unit_test(null_can_be_one_way),
		cmocka_unit_test(null_resets_on_bad_cursors),
		cmocka_unit_test(a_capture_is_read_to_its_end),
		cmocka_unit_test(long_packets_of_a_capture_come_as_chains_or_are_dropped),
		cmocka_unit_test(a_capture_is_written),
		cmocka_unit_test(a_forked_child_does_not_write_into_the_capture),
		cmocka_unit_test(a_capture_that_was_cut_gives_what_it_has_and_says_so),
		cmocka_unit_test(what_is_no_capture_is_refused),
		OVER_EACH_BACKEND(a_capture_feeds_a_pipe),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
