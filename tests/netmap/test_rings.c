/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Rings of the netmap device, by the public calls, on a stand-in that keeps netmap's rules. */
#include <string.h>

#include "ports.h"

/* ---- traffic */

/* Laps of rings whose sizes are no powers of two, in batches that divide nothing. */
static void laps(struct pair *p, uint32_t slots)
{
	uint64_t sent = 0, seen = 0;
	uint32_t tail = p->tx->ring->tail;

	for (uint32_t round = 0; seen < 20 * (uint64_t)slots; round++) {
		uint32_t space = nmx_tx_space(p->tx), n = 1 + round % 7;

		n = n < space ? n : space;
		if (n)
			support_send(p->tx, sent, n, 60 + round % 40);
		else
			require(nmx_tx_sync(p->tx) >= 0);
		sent += n;
		require(nmx_rx_sync(p->rx) >= 0);
		nmx_rx_for_each (p->rx, frame) {
			support_check(frame.data, frame.len, seen);
			seen++;
		}
	}
	require(tail < slots);
	require_equal(support_stats(p->a).resets + support_stats(p->b).resets, 0);
	require_equal(support_stats(p->a).tx_packets, sent);
	require_equal(support_stats(p->b).rx_packets, seen);
}

static void packets_pass_a_wire_over_many_laps(void **state)
{
	static const uint32_t sizes[] = { 3, 5, 256, 1023 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		char a[16], b[16];
		struct pair p;

		snprintf(a, sizeof(a), "eth%ua", i);
		snprintf(b, sizeof(b), "eth%ub", i);
		ports_wire(a, b, 1, sizes[i]);
		p = ports_pair(a, b, NULL);
		require_equal(p.tx->num_slots, sizes[i]);
		laps(&p, sizes[i]);
		ports_close(&p);
	}
}

static void packets_pass_a_pipe_over_many_laps(void **state)
{
	static const uint32_t sizes[] = { 2, 3, 100, 1023 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct nmx_options o = { .tx_slots = sizes[i], .rx_slots = sizes[i] };
		struct pair p = ports_pair("x{1", "x}1", &o);

		laps(&p, sizes[i]);
		ports_close(&p);
	}
}

static void packets_pass_a_switch(void **state)
{
	struct pair p = ports_pair("vale0:a", "vale0:b", NULL);

	(void)state;
	laps(&p, STANDIN_SLOTS);
	ports_close(&p);
}

static void a_full_pipe_would_block_and_loses_nothing(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	uint8_t data[60];

	(void)state;
	support_send(p.tx, 0, 7, 60);
	support_write(data, 60, 7);
	require_result(nmx_tx_send(p.tx, data, 60), NMX_ERR_WOULD_BLOCK);
	require_result(nmx_tx_sync(p.tx), 0);
	support_expect(p.rx, 0, 7, 60);
	require_result(nmx_rx_sync(p.rx), 0);
	require_result(nmx_tx_sync(p.tx), 7);
	support_send(p.tx, 7, 7, 60);
	support_expect(p.rx, 7, 7, 60);
	ports_close(&p);
}

/* What was received and not given back when a ring is closed: a pipe's sender has it at once. */
static void a_closed_end_of_a_pipe_gives_its_slots_back(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	struct nmx_frame frames[7];

	(void)state;
	support_send(p.tx, 0, 7, 60);
	require_result(nmx_rx_sync(p.rx), 7);
	require_equal(nmx_rx_recv_batch(p.rx, frames, 5), 5);
	require_result(nmx_tx_sync(p.tx), 0);
	nmx_rx_close(p.rx);
	require_result(nmx_tx_sync(p.tx), 5);
	p.rx = support_rx(p.b, 0);
	support_expect(p.rx, 5, 2, 60); /* what was not received waits for the next */
	ports_close(&p);
}

/* Some drivers have their interfaces as ends of pipes.  But the kernel holds a sync as long as the interface is down. */
static void a_ring_of_an_interface_is_closed_without_a_sync_while_that_is_down(void **state)
{
	struct nmx_frame frames[5];

	(void)state;
	ports_wire("eth0", "eth1", 1, 8);
	for (int down = 0; down < 2; down++) {
		struct pair p = ports_pair("eth0", "eth1", NULL);
		uint32_t syncs;

		support_send(p.tx, 0, 7, 60);
		require_result(nmx_rx_sync(p.rx), 7);
		require_equal(nmx_rx_recv_batch(p.rx, frames, 5), 5);
		syncs = standin.rx_syncs;
		standin_find("eth1")->down = down;
		nmx_rx_close(p.rx);
		require_equal(standin.rx_syncs, syncs + !down);
		p.rx = support_rx(p.b, 0);
		support_expect(p.rx, 5, 2, 60);
		ports_close(&p);
	}
}

/* ---- slots */

static void flags_of_an_earlier_user_do_not_go_out(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);

	(void)state;
	for (uint32_t s = 0; s < 8; s++)
		p.tx->ring->slot[s].flags = 0xff | NS_MOREFRAG;
	support_send(p.tx, 0, 7, 60);
	require_equal(p.tx->ring->slot[0].flags & ~NS_BUF_CHANGED, 0);
	support_expect(p.rx, 0, 7, 60);
	ports_close(&p);
}

/* The kernel must be told of each exchange, on both sides. */
static void an_exchanged_buffer_is_marked(void **state)
{
	struct pair in, out;
	struct nmx_frame frame;

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	ports_wire("eth2", "eth3", 1, 16);
	in = ports_pair("eth0", "eth1", NULL);
	out = ports_pair("eth2", "eth3", NULL);
	require(nmx_same_region(in.rx, out.tx));
	support_send(in.tx, 0, 4, 60);
	require_result(nmx_rx_sync(in.rx), 4);
	require(nmx_rx_recv(in.rx, &frame));
	struct netmap_slot *from = frame.slot, *to = &out.tx->ring->slot[out.tx->ring->cur];
	uint32_t moved = from->buf_idx;

	require_result(nmx_tx_forward(out.tx, &frame), 0);
	require_equal(to->buf_idx, moved);
	require(from->flags & NS_BUF_CHANGED && to->flags & NS_BUF_CHANGED);
	from++, to++;
	require_equal(nmx_forward(in.rx, out.tx, 8), 3);
	require(from->flags & NS_BUF_CHANGED && to->flags & NS_BUF_CHANGED);
	require(nmx_tx_sync(out.tx) > 0);
	require_result(nmx_rx_sync(in.rx), 0);
	support_expect(out.rx, 0, 4, 60);
	ports_close(&in);
	ports_close(&out);
}

#ifndef NMX_CHECKED /* there it traps */
static void lengths_and_indices_that_make_no_sense_are_not_sent(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	struct netmap_ring *ring = p.tx->ring;
	uint32_t buf = ring->slot[1].buf_idx;

	(void)state;
	support_send(p.tx, 0, 1, 60);
	ring->slot[1].len = 2049;
	ring->head = ring->cur = 2;
	require_result(nmx_tx_sync(p.tx), NMX_ERR_RESET);
	require_equal(ring->head, 1);
	ring->slot[1].len = 60;
	ring->slot[1].buf_idx = 1u << 30;
	ring->head = ring->cur = 2;
	require_result(nmx_tx_sync(p.tx), NMX_ERR_RESET);
	ring->slot[1].buf_idx = buf;
	require_equal(support_stats(p.a).resets, 2);
	support_send(p.tx, 1, 1, 60);
	support_expect(p.rx, 0, 2, 60);
	ports_close(&p);
}
#endif

/* Netmap looks at no length on a pipe; and a program without NMX_CHAINS sees no chain. */
static void what_cannot_be_shown_is_dropped_and_counted(void **state)
{
	static const struct {
		uint16_t len, flags;
	} came[] = { { 60, 0 }, { 2049, 0 }, { 0, 0 }, { 60, NS_MOREFRAG }, { 60, 0 }, { 60, 0 }, { 2048, NS_MOREFRAG }, { 65535, 0 }, { 64, 0 } };
	uint32_t lengths[3] = { 60, 60, 64 }, seen = 0;
	struct nmx_port *port;
	struct nmx_rx *rx;
	uint8_t data[2048] = { 0 };

	(void)state;
	standin_nic("eth0", 1, 16);
	port = ports_open("eth0", NULL);
	rx = support_rx(port, 0);
	for (unsigned lap = 0; lap < 20; lap++) {
		for (unsigned i = 0; i < sizeof(came) / sizeof(came[0]); i++) {
			data[0] = (uint8_t)i;
			standin_arrive(standin_find("eth0"), false, 0, data, came[i].len, came[i].flags);
		}
		require_result(nmx_rx_sync(rx), 3);
		seen = 0;
		nmx_rx_for_each (rx, frame) {
			require_equal(frame.data[0], seen == 0 ? 0 : seen == 1 ? 5 : 8);
			require_equal(frame.len, lengths[seen++]);
		}
		require_equal(seen, 3);
		standin_arrive(standin_find("eth0"), false, 0, data, 0, 0);
		require_result(nmx_rx_sync(rx), 0);
	}
	struct nmx_stats stats = support_stats(port);

	require_equal(stats.rx_packets, 60);
	require_equal(stats.drop_too_long, 20);
	require_equal(stats.drop_too_short, 40);
	require_equal(stats.drop_invalid, 40);
	nmx_rx_close(rx);
	nmx_close(port);
}

static void chains_pass_where_they_are_asked_for(void **state)
{
	struct nmx_options o = { .tx_slots = 16, .rx_slots = 16, .flags = NMX_CHAINS };
	struct pair p = ports_pair("x{1", "x}1", &o);
	static uint8_t sent[5000], got[5000];

	(void)state;
	support_write(sent, sizeof(sent), 1);
	require_result(nmx_tx_send_long(p.tx, sent, sizeof(sent)), 0);
	require(nmx_tx_sync(p.tx) >= 0);
	require_result(nmx_rx_sync(p.rx), 3);
	require_result(nmx_rx_recv_copy(p.rx, got, sizeof(got)), 5000);
	require_equal(memcmp(sent, got, sizeof(sent)), 0);
	ports_close(&p);
}

#ifndef NMX_CHECKED /* there it traps */
static void an_index_out_of_range_is_corruption(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	uint32_t buf = p.rx->ring->slot[0].buf_idx;

	(void)state;
	support_send(p.tx, 0, 1, 60);
	pthread_mutex_lock(&standin.lock);
	standin_sync(&standin_find("x}1")->kring[0][0]); /* a poll of somebody's: the slot is there */
	pthread_mutex_unlock(&standin.lock);
	p.rx->ring->slot[0].buf_idx = 0;
	require_result(nmx_rx_sync(p.rx), NMX_ERR_CORRUPT);
	p.rx->ring->slot[0].buf_idx = buf;
	require_result(nmx_rx_wait(p.rx, 1000), 1);
	require_result(nmx_rx_sync(p.rx), NMX_ERR_CORRUPT); /* from then on */
	ports_close(&p);
}
#endif

/* ---- resets */

#ifndef NMX_CHECKED /* there it traps */
static void a_reset_is_told_and_the_ring_goes_on(void **state)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);

	(void)state;
	support_send(p.tx, 0, 2, 60);
	p.tx->ring->head = 99999;
	require_result(nmx_tx_sync(p.tx), NMX_ERR_RESET);
	p.tx->ring->cur = 1; /* behind head */
	require_result(nmx_tx_sync(p.tx), NMX_ERR_RESET);
	p.tx->ring->tail = 5; /* not ours to write: put right in silence */
	require(nmx_tx_sync(p.tx) > 0);
	support_send(p.tx, 2, 1, 60);
	p.rx->ring->cur = 77;
	require_result(nmx_rx_sync(p.rx), NMX_ERR_RESET);
	support_expect(p.rx, 0, 3, 60);
	p.rx->ring->cur = p.rx->ring->tail + 2;
	require_result(nmx_rx_sync(p.rx), NMX_ERR_RESET);
	support_send(p.tx, 3, 1, 60);
	require_equal(support_stats(p.a).resets, 2);
	require_equal(support_stats(p.b).resets, 2);
	ports_close(&p);
}
#endif

/* ---- host rings */

static void host_rings_come_after_those_of_the_nic(void **state)
{
	struct port *nic = standin_nic("eth0", 2, 16);
	struct nmx_port *port = ports_open("eth0*", NULL);
	struct nmx_rx *rx[3];
	struct nmx_tx *host = support_tx(port, 2);
	struct nmx_info info;
	uint8_t data[60] = { 0 };

	(void)state;
	nmx_port_info(port, &info);
	require_equal(info.rx_rings, 2);
	require_equal(info.host_rx_rings, 1);
	require_equal(info.mode, NMX_MODE_NETMAP);
	for (uint32_t i = 0; i < 3; i++)
		rx[i] = support_rx(port, i);
	data[0] = 42;
	standin_arrive(nic, true, 0, data, 60, 0);
	for (uint32_t i = 0; i < 3; i++)
		require_result(nmx_rx_sync(rx[i]), i == 2);
	nmx_rx_for_each (rx[2], frame)
		require_equal(frame.data[0], 42);
	support_send(host, 0, 3, 60);
	require_equal(nic->host_received, 3);
	for (uint32_t i = 0; i < 3; i++)
		nmx_rx_close(rx[i]);
	nmx_tx_close(host);
	nmx_close(port);
}

static void the_host_alone_has_rings_from_0(void **state)
{
	struct port *nic = standin_nic("eth0", 4, 16);
	struct nmx_port *port = ports_open("eth0^", NULL);
	struct nmx_rx *rx = support_rx(port, 0);
	struct nmx_rx *none;

	(void)state;
	require_result(nmx_rx_ring(port, 1, &none), NMX_ERR_INVALID_RING_INDEX);
	standin_arrive(nic, true, 0, "12345678901234567890", 20, 0);
	require_result(nmx_rx_sync(rx), 1);
	nmx_rx_close(rx);
	nmx_close(port);
}

static uint32_t users_of_tx(const struct port *nic, uint32_t ring) { return nic->kring[1][ring].users; }

static void what_the_host_sends_comes_whatever_else_is_open(void **state)
{
	static const char *const names[] = { "eth0^", "eth0^0", "eth0^/x", "eth0^/R", "eth0*/R" };
	struct port *nic = standin_nic("eth0", 2, 16);
	struct nmx_port *port;
	struct nmx_info info;
	struct nmx_rx *rx;

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		port = ports_open(names[i], NULL);
		nmx_port_info(port, &info);
		rx = support_rx(port, info.rx_rings);
		require_equal(users_of_tx(nic, 0) + users_of_tx(nic, 1), 2);
		standin_arrive(nic, true, 0, "12345678901234567890", 20, 0);
		require_result(nmx_rx_sync(rx), 1);
		nmx_rx_close(rx);
		nmx_close(port);
		require_equal(users_of_tx(nic, 0) + users_of_tx(nic, 1), 0);
	}
	port = ports_open("eth0^/T", NULL);
	require_equal(users_of_tx(nic, 0), 0);
	nmx_close(port);
}

static void one_ring_is_that_ring(void **state)
{
	struct port *nic = standin_nic("eth0", 4, 16);
	struct nmx_port *port = ports_open("eth0-3", NULL);
	struct nmx_rx *rx = support_rx(port, 0);

	(void)state;
	standin_arrive(nic, false, 3, "12345678901234567890", 20, 0);
	require_result(nmx_rx_sync(rx), 1);
	nmx_rx_close(rx);
	nmx_close(port);
}

/* ---- spare buffers */

static void spare_buffers_come_from_netmap_and_go_back(void **state)
{
	struct nmx_options o = { .tx_slots = 16, .rx_slots = 16, .extra_bufs = 8 };
	struct pair p = ports_pair("x{1", "x}1", &o);
	struct nmx_buf bufs[9] = { { 0 } };
	struct nmx_frame frame;

	(void)state;
	require_equal(nmx_buf_get(p.b, bufs, 9), 8);
	support_send(p.tx, 0, 4, 60);
	require_result(nmx_rx_sync(p.rx), 4);
	for (uint32_t i = 0; i < 4; i++) {
		require(nmx_rx_recv(p.rx, &frame));
		require_result(nmx_frame_take(&frame, &bufs[i]), 0);
		require(frame.slot->flags & NS_BUF_CHANGED);
	}
	require_result(nmx_rx_sync(p.rx), 0);
	require(nmx_tx_sync(p.tx) > 0);
	for (uint32_t i = 0; i < 4; i++)
		support_check(bufs[i].data, bufs[i].len, i);
	nmx_buf_put(p.b, bufs, 3);
	ports_close(&p); /* the stand-in counts: none is lost, none comes back twice */
}

static void fewer_spare_buffers_than_asked_for_are_said(void **state)
{
	struct nmx_options o = { .backend = NMX_NETMAP, .extra_bufs = 10 };
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_info info;
	struct nmx_buf buf;

	(void)state;
	standin_nic("eth0", 1, 16);
	standin.extra_most = 1;
	require_result(nmx_open(&port, "eth0", &o, &why), 0);
	require_contains(why.text, "had 1 extra buffers, of 10");
	nmx_port_info(port, &info);
	require_equal(info.extra_bufs, 1);
	require_equal(nmx_buf_get(port, &buf, 1), 1);
	require_equal(nmx_buf_get(port, &buf, 1), 0);
	nmx_close(port);
}

/* ---- offsets */

static void packets_begin_at_the_offset(void **state)
{
	struct nmx_options o = { .tx_slots = 16, .rx_slots = 16, .extra_bufs = 2 };
	struct pair p = ports_pair("x{1@offset:initial=64,bits=16", "x}1@offset:initial=64,bits=16", &o);
	struct memory *m = standin_find("x{1")->memory;
	struct pair plain;

	(void)state;
	require_equal(nmx_tx_max_len(p.tx), STANDIN_BUF - 64);
	support_send(p.tx, 0, 1, 60);
	support_check(m->start + m->bytes - (size_t)(m->buf_num - p.tx->ring->slot[0].buf_idx) * STANDIN_BUF + 64, 60, 0);
	support_expect(p.rx, 0, 1, 60);
	support_send(p.tx, 1, 1, STANDIN_BUF - 64);
	support_expect(p.rx, 1, 1, STANDIN_BUF - 64);
	ports_wire("eth0", "eth1", 1, 16);
	plain = ports_pair("eth0", "eth1", NULL);
	require(!nmx_same_region(plain.rx, p.tx));
	ports_close(&plain);
	ports_close(&p);
}

/* ---- memory */

static void ports_of_one_memory_are_of_one_region(void **state)
{
	struct nmx_port *a, *b, *c;
	struct nmx_info info[3];

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	a = ports_open("eth0", NULL);
	b = ports_open("eth1", NULL);
	c = ports_open("x{1", NULL);
	nmx_port_info(a, &info[0]);
	nmx_port_info(b, &info[1]);
	nmx_port_info(c, &info[2]);
	require_equal(info[0].region, info[1].region);
	require(info[0].region != info[2].region);
	nmx_close(a);
	nmx_close(b);
	nmx_close(c);
}

/* A buffer that was received by one port and belongs to another: it may be kept when the first is closed, and that one is
 * free for others at once. */
static void a_taken_buffer_outlives_the_port_it_came_by(void **state)
{
	struct nmx_options o = { .extra_bufs = 1 }, exclusive = { .flags = NMX_EXCLUSIVE };
	struct nmx_port *owner;
	struct nmx_buf buf;
	struct nmx_frame frame;
	struct pair p;

	(void)state;
	ports_wire("eth0", "eth1", 1, 16);
	standin_nic("eth2", 1, 16);
	owner = ports_open("eth2", &o);
	require_equal(nmx_buf_get(owner, &buf, 1), 1);
	for (uint32_t round = 0; round < 3; round++) {
		p = ports_pair("eth0", "eth1", NULL);
		support_send(p.tx, round, 1, 60);
		require_result(nmx_rx_sync(p.rx), 1);
		require(nmx_rx_recv(p.rx, &frame));
		require_result(nmx_frame_take(&frame, &buf), 0);
		ports_close(&p);
		support_check(buf.data, buf.len, round);
		nmx_close(ports_open("eth1", &exclusive));
	}
	support_check(buf.data, buf.len, 2);
	nmx_close(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_pass_a_wire_over_many_laps),
		TEST(packets_pass_a_pipe_over_many_laps),
		TEST(packets_pass_a_switch),
		TEST(a_full_pipe_would_block_and_loses_nothing),
		TEST(a_closed_end_of_a_pipe_gives_its_slots_back),
		TEST(a_ring_of_an_interface_is_closed_without_a_sync_while_that_is_down),
		TEST(flags_of_an_earlier_user_do_not_go_out),
		TEST(an_exchanged_buffer_is_marked),
#ifndef NMX_CHECKED
		TEST(lengths_and_indices_that_make_no_sense_are_not_sent),
#endif
		TEST(what_cannot_be_shown_is_dropped_and_counted),
		TEST(chains_pass_where_they_are_asked_for),
#ifndef NMX_CHECKED
		TEST(an_index_out_of_range_is_corruption),
#endif
#ifndef NMX_CHECKED
		TEST(a_reset_is_told_and_the_ring_goes_on),
#endif
		TEST(host_rings_come_after_those_of_the_nic),
		TEST(the_host_alone_has_rings_from_0),
		TEST(what_the_host_sends_comes_whatever_else_is_open),
		TEST(one_ring_is_that_ring),
		TEST(spare_buffers_come_from_netmap_and_go_back),
		TEST(fewer_spare_buffers_than_asked_for_are_said),
		TEST(packets_begin_at_the_offset),
		TEST(ports_of_one_memory_are_of_one_region),
		TEST(a_taken_buffer_outlives_the_port_it_came_by),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
