/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "event.h"

static uint64_t receive(struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct nmx_uring_rx *receiver;
	struct nmx_uring *loop;
	struct io_uring uring;
	uint64_t wakes = 0;

	if (io_uring_queue_init(8, &uring, 0) < 0 || nmx_uring_open(&loop, &uring) < 0 ||
	    nmx_uring_rx_open(&receiver, loop, rx, fn, arg) < 0)
		die("uring", "no loop");
	while (!event_stop) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		if (nmx_uring_turn(loop) || event_stop)
			io_uring_submit_and_get_events(&uring);
		else
			io_uring_submit_and_wait(&uring, 1);
		wakes++;
		io_uring_for_each_cqe (&uring, head, cqe) {
			nmx_uring_completion(loop, cqe);
			count++;
		}
		io_uring_cq_advance(&uring, count);
	}
	nmx_uring_close(loop);
	io_uring_queue_exit(&uring);
	return wakes;
}

static void arm(struct io_uring *uring, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);

	if (!sqe)
		die("uring", "the queue is full");
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
}

static void read_events(int fd, void (*fn)(void *arg), void *arg)
{
	struct io_uring uring;
	uint64_t got;

	if (io_uring_queue_init(8, &uring, 0) < 0)
		die("uring", "no loop");
	arm(&uring, fd);
	while (!event_stop) {
		struct io_uring_cqe *cqe;
		bool more;

		if (io_uring_submit_and_wait(&uring, 1) < 0 || io_uring_peek_cqe(&uring, &cqe) < 0)
			continue;
		more = cqe->flags & IORING_CQE_F_MORE;
		io_uring_cqe_seen(&uring, cqe);
		if (read(fd, &got, sizeof(got)) == sizeof(got))
			fn(arg);
		if (!more)
			arm(&uring, fd);
	}
	io_uring_queue_exit(&uring);
}

const struct event_loop event_uring = { receive, read_events };
