/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Opening, checking out and closing, in any order; options; several segments and many pipes. */
#include <string.h>

#include "support.h"

enum { LEN = 60 };

/* ---- closing */

static void close_one(struct link *l, int what)
{
	if (what == 0)
		nmx_tx_close(l->tx);
	else if (what == 1)
		nmx_rx_close(l->rx);
	else if (what == 2)
		nmx_close(l->tx_port);
	else if (l->rx_port != l->tx_port)
		nmx_close(l->rx_port);
}

static void everything_closes_in_any_order(void **state)
{
	for (int code = 0; code < 256; code++) {
		int order[4] = { code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3 };

		if ((1 << order[0] | 1 << order[1] | 1 << order[2] | 1 << order[3]) != 15)
			continue; /* not a permutation */
		struct link l = support_link(*state, 4, &(struct nmx_options){ .extra_bufs = 2 });
		struct nmx_buf buf;

		require_equal(nmx_buf_get(l.tx_port, &buf, 1), 1);
		support_send(l.tx, 0, 2, LEN);
		support_expect(l.rx, 0, 1, LEN);
		for (int i = 0; i < 4; i++)
			close_one(&l, order[i]);
	}
}

static void rings_go_on_working_when_their_port_is_closed(void **state)
{
	struct link l = support_link(*state, 4, NULL);

	nmx_close(l.tx_port);
	if (l.rx_port != l.tx_port)
		nmx_close(l.rx_port);
	for (uint64_t i = 0; i < 100; i++) {
		require(nmx_tx_sync(l.tx) > 0);
		support_send(l.tx, i, 1, LEN);
		require_result(nmx_rx_wait(l.rx, -1), 1);
		support_expect(l.rx, i, 1, LEN);
		require_result(nmx_rx_sync(l.rx), 0);
	}
	nmx_tx_close(l.tx);
	nmx_rx_close(l.rx);
}

static void closing_a_transmit_ring_hands_over_what_is_committed(void **state)
{
	struct link l = support_link(*state, 8, NULL);
	struct nmx_batch batch;
	uint8_t data[LEN];

	support_write(data, LEN, 0);
	require_result(nmx_tx_send(l.tx, data, LEN), 0);
	require_result(nmx_tx_reserve(l.tx, 2, &batch), 2);
	require(nmx_batch_packet(&batch, LEN) != NULL);
	nmx_tx_close(l.tx); /* the open batch is cancelled */
	support_expect(l.rx, 0, 1, LEN);
	require_result(nmx_rx_sync(l.rx), 0);
	l.tx = support_tx(l.tx_port, 0);
	support_send(l.tx, 1, 2, LEN);
	support_expect(l.rx, 1, 2, LEN);
	support_unlink(&l);
}

static void a_ring_that_is_checked_out_again_goes_on_where_it_was(void **state)
{
	struct link l = support_link(*state, 5, NULL);

	for (uint64_t lap = 0; lap < 20; lap++) {
		require(nmx_tx_sync(l.tx) >= 3);
		support_send(l.tx, 3 * lap, 3, LEN);
		support_expect(l.rx, 3 * lap, 2, LEN);
		nmx_rx_close(l.rx);
		nmx_tx_close(l.tx);
		l.rx = support_rx(l.rx_port, 0);
		l.tx = support_tx(l.tx_port, 0);
		support_expect(l.rx, 3 * lap + 2, 1, LEN); /* what was not read still waits */
		require_result(nmx_rx_sync(l.rx), 0);
	}
	require_equal(support_stats(l.rx_port).drop_unread, 0);
	support_unlink(&l);
}

static void frames_that_nobody_read_are_counted(void **state)
{
	struct nmx_port *sender = support_open("x{1", &(struct nmx_options){ .tx_slots = 8 });
	struct nmx_port *receiver = support_open("x}1", NULL);
	struct nmx_tx *tx = support_tx(sender, 0);
	struct nmx_rx *rx = support_rx(receiver, 0);

	(void)state;
	support_send(tx, 0, 5, LEN);
	support_expect(rx, 0, 2, LEN);
	nmx_rx_close(rx);
	nmx_close(receiver);
	receiver = support_open("x}1", NULL); /* the totals stay with the pipe */
	require_equal(support_stats(receiver).drop_unread, 3);
	require_equal(support_stats(receiver).rx_packets, 5);
	nmx_close(receiver);
	nmx_tx_close(tx);
	nmx_close(sender);
}

static void a_port_can_be_opened_again_and_again(void **state)
{
	const struct backend_row *row = *state;

	for (int i = 0; i < 100; i++) {
		struct link l = support_link(row, 3, NULL);

		support_send(l.tx, 0, 1, LEN);
		support_expect(l.rx, 0, 1, LEN);
		support_unlink(&l);
		require_equal(support_directory_entries(), 0);
	}
	nmx_close(NULL);
	nmx_rx_close(NULL);
	nmx_tx_close(NULL);
}

static void variables_close_themselves(void **state)
{
	const struct backend_row *row = *state;

	for (int i = 0; i < 3; i++) {
		NMX_AUTO(port) port = support_open(row->tx_name, NULL);
		NMX_AUTO(rx) rx = support_rx(port, 0);
		NMX_AUTO(tx) tx = support_tx(port, 0);
		NMX_AUTO(port) none = NULL;

		require(rx && tx && !none);
	}
	require_equal(support_directory_entries(), 0);
}

/* ---- options */

static void zero_means_default(void **state)
{
	const struct backend_row *row = *state;
	struct nmx_port *port = NULL;
	struct nmx_report why;
	struct nmx_info info;

	require_result(nmx_open(&port, row->tx_name, NULL, &why), 0);
	require_equal(strlen(why.text), 0);
	nmx_port_info(port, &info);
	require_equal(info.tx_rings, 1);
	require_equal(info.rx_rings, 1);
	require_equal(info.tx_slots, 1024);
	require_equal(info.rx_slots, 1024);
	require_equal(info.max_len, 2048);
	require_equal(info.max_frags, 64);
	require_equal(info.extra_bufs, 0);
	require_equal(info.numa_node, -1);
	require(strcmp(info.name, row->tx_name) == 0); /* as it would be opened again */
	nmx_close(port);
}

static void a_larger_struct_is_fine_as_long_as_its_end_is_zero(void **state)
{
	const struct backend_row *row = *state;
	struct {
		struct nmx_options options;
		uint64_t newer[4];
	} o = { .options.tx_slots = 16, .options.rx_slots = 16 };
	struct {
		struct nmx_info info;
		uint64_t newer[4];
	} info;
	struct nmx_port *port = NULL;
	struct nmx_report why;

	require_result(nmx_open_sized(&port, row->tx_name, &o.options, sizeof(o), &why), 0);
	memset(&info, 0xff, sizeof(info));
	nmx_port_info_sized(port, &info.info, sizeof(info));
	require_equal(info.info.tx_slots, 16);
	require_equal(info.newer[0] | info.newer[3], 0);
	nmx_close(port);
	o.newer[2] = 1;
	require_result(nmx_open_sized(&port, row->tx_name, &o.options, sizeof(o), &why), NMX_ERR_BAD_OPTION);
	require_contains(why.text, nmx_version());
	/* A program built against an older, shorter struct. */
	o.options.extra_bufs = 7;
	require_result(nmx_open_sized(&port, row->tx_name, &o.options, offsetof(struct nmx_options, extra_bufs), &why), 0);
	memset(&info, 0xff, sizeof(info));
	nmx_port_info_sized(port, &info.info, offsetof(struct nmx_info, tx_slots));
	require_equal(info.info.tx_slots, UINT32_MAX); /* not written beyond */
	nmx_port_info(port, &info.info);
	require_equal(info.info.extra_bufs, 0);
	nmx_close(port);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	const struct backend_row *row = *state;

	support_open_refused(row->tx_name, &(struct nmx_options){ .flags = 1u << 31 }, NMX_ERR_BAD_OPTION, "0x80000000");
	support_open_refused(row->tx_name, &(struct nmx_options){ .flags = NMX_TX_ONLY | NMX_RX_ONLY }, NMX_ERR_BAD_OPTION, "NMX_");
	support_open_refused(row->tx_name, &(struct nmx_options){ .segment = "a/b" }, NMX_ERR_BAD_OPTION, "a/b");
	support_open_refused(row->tx_name, &(struct nmx_options){ .backend = 99 }, NMX_ERR_BAD_OPTION, "99");
	support_open_refused(row->tx_name, &(struct nmx_options){ .backend = NMX_NULL }, NMX_ERR_BAD_OPTION, "null");
	support_open_refused(row->tx_name, &(struct nmx_options){ .extra_bufs = (1u << 24) + 1 }, NMX_ERR_BAD_OPTION, "extra");
	support_open_refused("", NULL, NMX_ERR_BAD_NAME, "");
	support_open_refused("x{1", &(struct nmx_options){ .segment_bufs = 10 }, NMX_ERR_BAD_OPTION, "segment_bufs");
	support_open_refused("x{1", &(struct nmx_options){ .segment_bufs = (1u << 24) + 1 }, NMX_ERR_BAD_OPTION, "segment_bufs");
	support_open_refused("x{1", &(struct nmx_options){ .directory = "/nonexistent/dir" }, NMX_ERR_NO_SUCH, "/nonexistent/dir");
	require_equal(support_directory_entries(), 0);
}

static void the_smallest_and_largest_rings_can_be_had(void **state)
{
	const struct backend_row *row = *state;
	struct nmx_options small = { .tx_slots = 2, .rx_slots = 2, .tx_rings = 64, .rx_rings = 64 };
	struct nmx_options large = { .tx_slots = 32768, .rx_slots = 32768, .segment_bufs = 262144 };
	struct nmx_port *port = support_open(row->tx_name, &small);
	struct nmx_rx *rx = support_rx(port, 63);

	nmx_rx_close(rx);
	nmx_close(port);
	port = support_open(row->tx_name, &large);
	struct nmx_tx *tx = support_tx(port, 0);

	require_equal(nmx_tx_space(tx), 32767);
	nmx_tx_close(tx);
	nmx_close(port);
}

static void a_segment_that_is_too_small_says_so(void **state)
{
	struct nmx_options o = { .segment_bufs = 100 };

	(void)state;
	support_open_refused("x{1", &o, NMX_ERR_NO_MEMORY, "segment_bufs");
	require_equal(support_directory_entries(), 0);
}

/* ---- both ends of a pipe */

static void the_second_end_takes_the_geometry_of_the_first(void **state)
{
	struct nmx_options o = { .tx_rings = 3, .rx_rings = 2, .tx_slots = 100, .rx_slots = 7 };
	struct nmx_port *a = support_open("x{1", &o), *b = support_open("x}1", NULL);
	struct nmx_info info;

	(void)state;
	nmx_port_info(b, &info);
	require_equal(info.tx_rings, 2);
	require_equal(info.rx_rings, 3);
	require_equal(info.tx_slots, 7);
	require_equal(info.rx_slots, 100);
	nmx_close(b);
	support_open_refused("x}1", &(struct nmx_options){ .tx_rings = 3 }, NMX_ERR_BAD_OPTION, "with 2 transmit rings; 3 were asked for");
	support_open_refused("x}1", &(struct nmx_options){ .rx_rings = 2 }, NMX_ERR_BAD_OPTION, "receive rings");
	support_open_refused("x}1", &(struct nmx_options){ .tx_slots = 8 }, NMX_ERR_BAD_OPTION, "7 transmit slots");
	support_open_refused("x}1", &(struct nmx_options){ .rx_slots = 99 }, NMX_ERR_BAD_OPTION, "100 receive slots");
	support_open_refused("x{1", NULL, NMX_ERR_BUSY, "test_life (process"); /* our own name */
	nmx_close(a);
}

static void sixty_four_pipes_under_one_parent_do_not_mix(void **state)
{
	struct link l[64];
	char name[24];

	(void)state;
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "parent{%d", i);
		l[i].tx_port = support_open(name, &(struct nmx_options){ .tx_slots = 4, .rx_slots = 4 });
		snprintf(name, sizeof(name), "parent}%d", i);
		l[i].rx_port = support_open(name, NULL);
		l[i].tx = support_tx(l[i].tx_port, 0);
		l[i].rx = support_rx(l[i].rx_port, 0);
	}
	for (int i = 0; i < 64; i++)
		support_send(l[i].tx, 1000 + (uint64_t)i, 1, LEN);
	for (int i = 63; i >= 0; i--) {
		support_expect(l[i].rx, 1000 + (uint64_t)i, 1, LEN);
		require_result(nmx_rx_sync(l[i].rx), 0);
	}
	for (int i = 0; i < 64; i++)
		support_unlink(&l[i * 37 % 64]);
}

static void pipes_of_the_same_name_in_several_segments_are_different(void **state)
{
	static const char *const segments[] = { "default", "one", "two" };
	struct link l[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		l[i] = support_link(&support_pipe, 4, &(struct nmx_options){ .segment = segments[i] });
	for (int i = 0; i < 3; i++)
		support_send(l[i].tx, (uint64_t)i, 1, LEN);
	for (int i = 0; i < 3; i++) {
		support_expect(l[i].rx, (uint64_t)i, 1, LEN);
		require_result(nmx_rx_sync(l[i].rx), 0);
		for (int k = 0; k < 3; k++)
			require_equal(nmx_same_region(l[i].rx, l[k].tx), i == k);
	}
	struct nmx_port *port = support_open("extra{1@segment=one", NULL);
	struct nmx_info info, one;

	nmx_port_info(port, &info);
	nmx_port_info(l[1].tx_port, &one);
	require_equal(info.region, one.region);
	nmx_close(port);
	support_open_refused("x{1@segment=one", &(struct nmx_options){ .segment = "two" }, NMX_ERR_BAD_OPTION, "two");
	for (int i = 0; i < 3; i++)
		support_unlink(&l[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(everything_closes_in_any_order),
		OVER_EACH_BACKEND(rings_go_on_working_when_their_port_is_closed),
		OVER_EACH_BACKEND(closing_a_transmit_ring_hands_over_what_is_committed),
		OVER_EACH_BACKEND(a_ring_that_is_checked_out_again_goes_on_where_it_was),
		cmocka_unit_test(frames_that_nobody_read_are_counted),
		OVER_EACH_BACKEND(a_port_can_be_opened_again_and_again),
		OVER_EACH_BACKEND(variables_close_themselves),
		OVER_EACH_BACKEND(zero_means_default),
		OVER_EACH_BACKEND(a_larger_struct_is_fine_as_long_as_its_end_is_zero),
		OVER_EACH_BACKEND(options_that_make_no_sense_are_refused),
		OVER_EACH_BACKEND(the_smallest_and_largest_rings_can_be_had),
		cmocka_unit_test(a_segment_that_is_too_small_says_so),
		cmocka_unit_test(the_second_end_takes_the_geometry_of_the_first),
		cmocka_unit_test(sixty_four_pipes_under_one_parent_do_not_mix),
		cmocka_unit_test(pipes_of_the_same_name_in_several_segments_are_different),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
