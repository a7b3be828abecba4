/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Buffers that change places: take, put, get, give back, and forward from ring to ring. */
#include <string.h>

#include "support.h"

enum { LEN = 100, PLACES = 20 };

/* Keeps packets; its places always hold a buffer, a spare where there is no packet. */
struct store {
	struct nmx_buf place[PLACES];
	uint32_t first, count;
};

static struct nmx_buf *at(struct store *s, uint32_t i) { return &s->place[(s->first + i) % PLACES]; }

static void store_all(struct store *s, struct nmx_rx *in)
{
	nmx_rx_for_each (in, frame) {
		if (s->count == PLACES || nmx_frame_take(&frame, at(s, s->count)) < 0)
			break;
		s->count++;
	}
	require(nmx_rx_sync(in) >= 0);
}

static void send_on(struct store *s, struct nmx_tx *out)
{
	while (s->count > 0 && nmx_tx_put(out, at(s, 0)) == 0) {
		s->first = (s->first + 1) % PLACES;
		s->count--;
	}
	require(nmx_tx_sync(out) >= 0);
}

/* Two links of one region. */
struct pair {
	struct link in, out;
};

static struct pair open_pair(uint32_t slots, uint32_t extra)
{
	static const struct backend_row in = { "in", "in{1", "in}1" }, out = { "out", "out{1", "out}1" };
	struct nmx_options o = { .extra_bufs = extra };

	return (struct pair){ support_link(&in, slots, &o), support_link(&out, slots, &o) };
}

static void close_pair(struct pair *p)
{
	support_unlink(&p->in);
	support_unlink(&p->out);
}

static void a_store_and_forward_queue_keeps_order_and_contents(void **state)
{
	struct pair p = open_pair(7, PLACES);
	struct store s = { .count = 0 };
	uint64_t sent = 0, received = 0;
	uint32_t random = 1;
	const uint8_t *before;

	(void)state;
	require_equal(nmx_buf_get(p.in.rx_port, s.place, PLACES), PLACES);
	while (received < 20000) {
		require(nmx_tx_sync(p.in.tx) >= 0);
		for (uint32_t n = support_random(&random, 7); n > 0 && nmx_tx_space(p.in.tx) > 0; n--)
			support_send(p.in.tx, sent++, 1, LEN);
		if (support_random(&random, 3))
			store_all(&s, p.in.rx);
		if (support_random(&random, 3))
			send_on(&s, p.out.tx);
		require(nmx_rx_sync(p.out.rx) >= 0);
		nmx_rx_for_each (p.out.rx, frame)
			support_check(frame.data, LEN, received++);
	}
	before = s.place[0].data;
	nmx_buf_put(p.in.rx_port, s.place, PLACES);
	require(before != NULL && s.place[0].data == NULL && s.place[0].home == NULL);
	close_pair(&p);
}

static void take_and_put_move_buffers_and_copy_nothing(void **state)
{
	struct pair p = open_pair(4, 1);
	struct nmx_frame frame, out;
	struct nmx_buf buf;
	uint8_t *data, *spare;

	(void)state;
	require_equal(nmx_buf_get(p.in.rx_port, &buf, 1), 1);
	require_equal(buf.len, 0);
	support_send(p.in.tx, 5, 1, LEN);
	require_result(nmx_rx_sync(p.in.rx), 1);
	require(nmx_rx_recv(p.in.rx, &frame));
	data = frame.data;
	spare = buf.data;
	require_result(nmx_frame_take(&frame, &buf), 0);
	require(buf.data == data && buf.len == LEN && frame.data == NULL);
	require(p.in.rx->bufs + (size_t)frame.slot->buf_idx * p.in.rx->buf_size == spare);
	require_result(nmx_rx_sync(p.in.rx), 0); /* beyond the next sync */
	support_check(buf.data, LEN, 5);
	require_result(nmx_tx_put(p.out.tx, &buf), 0);
	require(buf.data != data && buf.data != NULL && buf.len == 0 && buf.flags == 0);
	require(nmx_tx_sync(p.out.tx) >= 0);
	require_result(nmx_rx_sync(p.out.rx), 1);
	require(nmx_rx_recv(p.out.rx, &out));
	require(out.data == data);
	support_check(out.data, LEN, 5);
	close_pair(&p);
}

static void put_refuses_what_cannot_be_sent_and_leaves_it_as_it_was(void **state)
{
	struct pair p = open_pair(3, 1);
	struct nmx_batch batch;
	struct nmx_buf buf, before;

	(void)state;
	require_equal(nmx_buf_get(p.out.tx_port, &buf, 1), 1);
	require_result(nmx_tx_put(p.out.tx, &buf), NMX_ERR_PACKET_TOO_LARGE); /* empty */
	buf.len = 2049;
	require_result(nmx_tx_put(p.out.tx, &buf), NMX_ERR_PACKET_TOO_LARGE);
	buf.len = LEN;
	before = buf;
	require_result(nmx_tx_reserve(p.out.tx, 1, &batch), 1);
	require_result(nmx_tx_put(p.out.tx, &buf), NMX_ERR_BUSY);
	nmx_batch_cancel(&batch);
	support_send(p.out.tx, 0, 2, LEN);
	require_result(nmx_tx_put(p.out.tx, &buf), NMX_ERR_WOULD_BLOCK);
	require(memcmp(&buf, &before, sizeof(buf)) == 0);
	close_pair(&p);
}

static void a_buffer_of_another_region_is_refused(void **state)
{
	struct link loop = support_link(&support_loop, 4, &(struct nmx_options){ .extra_bufs = 1 });
	struct link pipe = support_link(&support_pipe, 4, &(struct nmx_options){ .extra_bufs = 1, .segment = "elsewhere" });
	struct link other = support_link(&support_pipe, 4, NULL);
	struct nmx_buf of_loop, of_pipe, none = { 0 };
	struct nmx_frame frame;

	(void)state;
	require(nmx_same_region(pipe.rx, pipe.tx));
	require(!nmx_same_region(loop.rx, pipe.tx) && !nmx_same_region(other.rx, pipe.tx));
	require_equal(nmx_buf_get(loop.tx_port, &of_loop, 1), 1);
	require_equal(nmx_buf_get(pipe.tx_port, &of_pipe, 1), 1);
	of_loop.len = of_pipe.len = none.len = LEN;
	require_result(nmx_tx_put(pipe.tx, &of_loop), NMX_ERR_OTHER_REGION);
	require_result(nmx_tx_put(loop.tx, &of_pipe), NMX_ERR_OTHER_REGION);
	require_result(nmx_tx_put(other.tx, &of_pipe), NMX_ERR_OTHER_REGION);
	require_result(nmx_tx_put(loop.tx, &none), NMX_ERR_OTHER_REGION);
	support_send(pipe.tx, 3, 1, LEN);
	require_result(nmx_rx_sync(pipe.rx), 1);
	require(nmx_rx_recv(pipe.rx, &frame));
	require_result(nmx_frame_take(&frame, &of_loop), NMX_ERR_OTHER_REGION);
	require_result(nmx_frame_take(&frame, &none), NMX_ERR_OTHER_REGION);
	support_check(frame.data, LEN, 3); /* nothing has changed */
	require_result(nmx_frame_take(&frame, &of_pipe), 0);
	support_unlink(&loop);
	support_unlink(&pipe);
	support_unlink(&other);
}

static void spares_are_counted_and_given_back_once(void **state)
{
	const struct backend_row *row = *state;
	struct nmx_port *port = support_open(row->tx_name, &(struct nmx_options){ .extra_bufs = 4 });
	struct nmx_port *none = support_open("null:", NULL);
	struct nmx_buf bufs[6] = { 0 }, copies[6], again[6] = { 0 }, foreign = { 0 };
	struct nmx_info info;

	nmx_port_info(port, &info);
	require_equal(info.extra_bufs, 4);
	require_equal(nmx_buf_get(none, &foreign, 1), 0);
	require_equal(nmx_buf_get(port, bufs, 3), 3);
	require_equal(nmx_buf_get(port, bufs + 3, 3), 1);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			require(bufs[i].data != bufs[k].data);
	memcpy(copies, bufs, sizeof(copies));
	nmx_buf_put(port, bufs, 6); /* two of them never held one */
#ifndef NMX_CHECKED /* there these trap */
	nmx_buf_put(port, copies, 4); /* stale: given back already */
	nmx_buf_put(none, copies, 4);
#endif
	nmx_buf_put(port, bufs, 4);
	require_equal(nmx_buf_get(port, again, 6), 4);
#ifndef NMX_CHECKED
	nmx_buf_put(none, again, 4); /* another port's */
	require_equal(nmx_buf_get(port, bufs, 1), 0);
#endif
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			require(again[i].data != again[k].data);
	nmx_close(port); /* with its spares out: they go back by themselves */
	nmx_close(none);
}

static void spares_go_back_with_the_port(void **state)
{
	/* 64 buffers in all, so that a leak of a few shows soon. */
	struct nmx_options o = { .extra_bufs = 20, .segment_bufs = 64, .tx_slots = 3, .rx_slots = 3 };

	(void)state;
	struct nmx_port *keeper = support_open("keeper{1", &(struct nmx_options){ .segment_bufs = 64, .tx_slots = 3, .rx_slots = 3 });
	for (int i = 0; i < 50; i++) {
		struct link l = { .tx_port = support_open("x{1", &o) };
		struct nmx_buf bufs[20];

		l.rx_port = support_open("x}1", &(struct nmx_options){ .tx_slots = 3 });
		l.tx = support_tx(l.tx_port, 0);
		l.rx = support_rx(l.rx_port, 0);
		require_equal(nmx_buf_get(l.tx_port, bufs, 20), 20);
		for (uint32_t k = 0; k < 2; k++) {
			bufs[k].len = LEN;
			support_write(bufs[k].data, LEN, k);
			require_result(nmx_tx_put(l.tx, &bufs[k]), 0);
		}
		require(nmx_tx_sync(l.tx) >= 0);
		support_expect(l.rx, 0, 1 + i % 2, LEN); /* some stay on the way */
		support_unlink(&l);
	}
	nmx_close(keeper);
}

static void forward_within_a_region_exchanges(void **state)
{
	struct pair p = open_pair(5, 0);
	uint8_t *data[3];
	uint32_t i = 0;

	(void)state;
	support_send(p.in.tx, 0, 3, LEN);
	require_result(nmx_rx_sync(p.in.rx), 3);
	nmx_rx_for_each (p.in.rx, frame) {
		data[i++] = frame.data;
		frame.len = (uint16_t)(LEN - i); /* may be shortened */
		require_result(nmx_tx_forward(p.out.tx, &frame), 0);
		require(frame.data == NULL);
	}
	require(nmx_tx_sync(p.out.tx) >= 0);
	require_result(nmx_rx_sync(p.out.rx), 3);
	i = 0;
	nmx_rx_for_each (p.out.rx, frame) {
		require(frame.data == data[i]);
		require_equal(frame.len, LEN - i - 1);
		support_check(frame.data, frame.len, i++);
	}
	require_equal(support_stats(p.out.tx_port).tx_copied_bytes, 0);
	close_pair(&p);
}

static void forward_between_regions_copies(void **state)
{
	struct link from = support_link(*state, 5, NULL), to = support_link(&support_loop, 4, NULL);
	uint8_t *data[4];
	uint32_t i = 0;

	for (uint64_t lap = 0; lap < 10; lap++) {
		support_send(from.tx, 3 * lap, 3, LEN);
		require_result(nmx_rx_sync(from.rx), 3);
		i = 0;
		nmx_rx_for_each (from.rx, frame) {
			data[i++] = frame.data;
			require_result(nmx_tx_forward(to.tx, &frame), 0);
			require(frame.data == NULL);
		}
		require(nmx_tx_sync(to.tx) >= 0);
		require_result(nmx_rx_sync(from.rx), 0);
		require_result(nmx_rx_sync(to.rx), 3);
		nmx_rx_for_each (to.rx, frame)
			for (uint32_t k = 0; k < 3; k++)
				require(frame.data != data[k]);
		require_equal(nmx_rx_waiting(to.rx), 0);
		require_result(nmx_rx_sync(to.rx), 0);
		require_result(nmx_tx_sync(to.tx), 3);
		require(nmx_tx_sync(from.tx) >= 3);
		support_send(from.tx, 100, 4, LEN); /* and all at once */
		require_result(nmx_rx_sync(from.rx), 4);
		require_equal(nmx_forward(from.rx, to.tx, 10), 3);
		require(nmx_tx_sync(to.tx) >= 0);
		support_expect(to.rx, 100, 3, LEN);
		support_expect(from.rx, 103, 1, LEN); /* what did not fit stays first in line */
		require_result(nmx_rx_sync(to.rx), 0);
		require_result(nmx_rx_sync(from.rx), 0);
		require_result(nmx_tx_sync(to.tx), 3);
		require_result(nmx_tx_sync(from.tx), 4);
	}
	require_equal(support_stats(to.tx_port).tx_copied_bytes, 10 * (3 + 3) * LEN);
	require_equal(support_stats(from.tx_port).tx_copied_bytes, 0);
	support_unlink(&from);
	support_unlink(&to);
}

/* A packet must not be lost because the other side is full: it is stepped over only once it has been handed on. */
static void a_forward_that_finds_no_room_leaves_the_frame_waiting(void **state)
{
	struct link from = support_link(*state, 9, NULL), to = support_link(&support_loop, 3, NULL);
	uint64_t received = 0;

	support_send(from.tx, 0, 8, LEN);
	while (received < 8) {
		require(nmx_rx_sync(from.rx) >= 0);
		nmx_rx_for_each (from.rx, frame)
			if (nmx_tx_forward(to.tx, &frame) < 0) {
				require(frame.data != NULL);
				break;
			}
		require(nmx_tx_sync(to.tx) >= 0);
		require(nmx_rx_sync(to.rx) >= 0);
		nmx_rx_for_each (to.rx, frame)
			support_check(frame.data, LEN, received++);
	}
	require_result(nmx_rx_sync(from.rx), 0);
	support_unlink(&from);
	support_unlink(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_and_forward_queue_keeps_order_and_contents),
		cmocka_unit_test(take_and_put_move_buffers_and_copy_nothing),
		cmocka_unit_test(put_refuses_what_cannot_be_sent_and_leaves_it_as_it_was),
		cmocka_unit_test(a_buffer_of_another_region_is_refused),
		OVER_EACH_BACKEND(spares_are_counted_and_given_back_once),
		cmocka_unit_test(spares_go_back_with_the_port),
		cmocka_unit_test(forward_within_a_region_exchanges),
		OVER_EACH_BACKEND(forward_between_regions_copies),
		OVER_EACH_BACKEND(a_forward_that_finds_no_room_leaves_the_frame_waiting),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
