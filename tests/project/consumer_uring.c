/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* As consumer.c, around an io_uring: built against the installed libraries, as C11 and as C++17. */
#include <liburing.h>
#include <stdio.h>

#include <nmx/event.h>

static struct nmx_uring_tx *sender;
static unsigned bytes;

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	(void)err, (void)arg;
	nmx_rx_for_each (rx, frame)
		bytes += frame.len;
}

static void on_room(struct nmx_tx *tx, int err, void *arg)
{
	(void)arg;
	if (err == 0 && nmx_tx_send(tx, "hello", 5) == 0)
		nmx_uring_tx_flush(sender);
}

int main(void)
{
	struct nmx_uring_rx *receiver;
	struct nmx_uring *loop;
	struct io_uring uring;
	struct io_uring_cqe *cqe;
	struct nmx_port *port;
	struct nmx_report why;
	struct nmx_tx *tx;
	struct nmx_rx *rx;

	if (io_uring_queue_init(8, &uring, 0) < 0) {
		printf("no io_uring is to be had here\n");
		return 0;
	}
	if (nmx_open(&port, "loop:", NULL, &why) < 0 || nmx_rx_ring(port, 0, &rx) < 0 || nmx_tx_ring(port, 0, &tx) < 0 ||
	    nmx_uring_open(&loop, &uring) < 0 || nmx_uring_rx_open(&receiver, loop, rx, on_packets, NULL) < 0 ||
	    nmx_uring_tx_open(&sender, loop, tx, on_room, NULL) < 0)
		return 1;
	nmx_close(port);
	nmx_uring_tx_want(sender, 1);
	while (bytes == 0) {
		if (nmx_uring_turn(loop) || bytes > 0)
			io_uring_submit(&uring);
		else
			io_uring_submit_and_wait(&uring, 1);
		while (io_uring_peek_cqe(&uring, &cqe) == 0) {
			nmx_uring_completion(loop, cqe);
			io_uring_cqe_seen(&uring, cqe);
		}
	}
	nmx_uring_close(loop);
	io_uring_queue_exit(&uring);
	return bytes == 5 ? 0 : 1;
}
