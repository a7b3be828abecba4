/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * echo_uring: sends back what comes in at a port, in a loop around an io_uring that also waits for SIGTERM and SIGINT.
 *
 *     build/examples/echo_uring PORT        for instance 'x}1'
 *     build/nmx ping 'x{1' -n 1000
 */
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include <nmx/event.h>

struct echo {
	const char *name;
	struct nmx_uring_rx *receiver;
	struct nmx_uring_tx *sender;
	struct nmx_tx *tx;
	bool over;
	int err;
};

static void end(struct echo *echo, int err)
{
	if (err < 0 && echo->err == 0)
		echo->err = err;
	echo->over = true;
}

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	struct echo *echo = arg;

	if (err == NMX_ERR_PEER_GONE || err == NMX_ERR_LINK_DOWN) {
		nmx_uring_rx_start(echo->receiver); /* said once; the next one may come */
	} else if (err < 0) {
		end(echo, err);
	} else {
		nmx_forward(rx, echo->tx, UINT32_MAX);
		nmx_uring_tx_flush(echo->sender);
		if (nmx_rx_waiting(rx) > 0) { /* full: what is left waits where it is */
			nmx_uring_rx_stop(echo->receiver);
			nmx_uring_tx_want(echo->sender, 1);
		}
	}
}

static void on_room(struct nmx_tx *tx, int err, void *arg)
{
	struct echo *echo = arg;

	(void)tx;
	if (err < 0 && err != NMX_ERR_PEER_GONE && err != NMX_ERR_LINK_DOWN)
		end(echo, err);
	else
		nmx_uring_rx_start(echo->receiver);
}

/* One poll of the program's own beside those of nmx. */
static int watch_signals(struct io_uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0 || !sqe)
		return -1;
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, 1);
	return 0;
}

static void run(struct echo *echo, struct nmx_uring *loop, struct io_uring *uring)
{
	for (;;) {
		int more = nmx_uring_turn(loop); /* calls back */
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		if (echo->over)
			break;
		if (more)
			io_uring_submit_and_get_events(uring);
		else
			io_uring_submit_and_wait(uring, 1);
		io_uring_for_each_cqe (uring, head, cqe) {
			if (!nmx_uring_completion(loop, cqe))
				end(echo, 0); /* the signal */
			count++;
		}
		io_uring_cq_advance(uring, count);
	}
}

int main(int argc, char **argv)
{
	struct echo echo = { .name = argv[1] };
	struct nmx_uring *loop;
	struct io_uring uring;
	struct nmx_report why;
	struct nmx_stats stats;
	struct nmx_port *port;
	struct nmx_rx *rx;
	int err;

	if (argc != 2 || strcmp(argv[1], "--help") == 0) {
		printf("usage: echo_uring PORT     sends back what comes in, until SIGTERM or SIGINT\n");
		return argc == 2 ? 0 : 2;
	}
	if ((err = io_uring_queue_init(8, &uring, 0)) < 0) {
		fprintf(stderr, "echo_uring: no io_uring is to be had: %s\n", strerror(-err));
		return 77;
	}
	if (nmx_open(&port, echo.name, &(struct nmx_options){ .tx_rings = 1, .rx_rings = 1 }, &why) < 0) {
		fprintf(stderr, "echo_uring: %s\n", why.text);
		return 1;
	}
	if ((err = nmx_rx_ring(port, 0, &rx)) < 0 || (err = nmx_tx_ring(port, 0, &echo.tx)) < 0 ||
	    (err = nmx_uring_open(&loop, &uring)) < 0 ||
	    (err = nmx_uring_rx_open(&echo.receiver, loop, rx, on_packets, &echo)) < 0 ||
	    (err = nmx_uring_tx_open(&echo.sender, loop, echo.tx, on_room, &echo)) < 0) {
		fprintf(stderr, "echo_uring: %s: %s\n", echo.name, nmx_strerror(err));
		return 1;
	}
	if (watch_signals(&uring) < 0) {
		perror("echo_uring: signals");
		return 1;
	}
	run(&echo, loop, &uring);
	nmx_uring_close(loop); /* and the rings in it */
	io_uring_queue_exit(&uring);
	nmx_port_stats(port, &stats);
	printf("%s: %llu packets in, %llu back\n", echo.name, (unsigned long long)stats.rx_packets,
	       (unsigned long long)stats.tx_packets);
	nmx_close(port);
	if (echo.err < 0)
		fprintf(stderr, "echo_uring: %s: %s\n", echo.name, nmx_strerror(echo.err));
	return echo.err < 0;
}
