/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pipe_threads: two threads, a pipe between them; one writes numbers into packets in place, the other adds them up.
 *
 *     build/examples/pipe_threads [PACKETS]
 *
 * A ring belongs to one thread at a time, so nothing here needs a lock.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <nmx/nmx.h>

#include "number.h"

struct job {
	struct nmx_tx *tx; /* the writer's */
	uint64_t packets;
};

static void fail(const char *what, int err)
{
	fprintf(stderr, "pipe_threads: %s: %s\n", what, nmx_strerror(err));
	exit(1);
}

static void *writer(void *arg)
{
	const struct job *job = arg;
	struct nmx_batch batch;
	uint64_t next = 1;
	uint8_t *data;
	int n;

	while (next <= job->packets) {
		uint64_t left = job->packets - next + 1;

		if ((n = nmx_tx_reserve(job->tx, left < 256 ? (uint32_t)left : 256, &batch)) < 0)
			fail("reserve", n);
		while ((data = nmx_batch_packet(&batch, sizeof(next)))) {
			memcpy(data, &next, sizeof(next));
			next++;
		}
		nmx_batch_commit(&batch);
		if ((n = nmx_tx_sync(job->tx)) == 0)
			n = nmx_tx_wait(job->tx, 64, -1); /* full: the reader is slower */
		if (n < 0)
			fail("sending", n);
	}
	return NULL;
}

static uint64_t read_all(struct nmx_rx *rx, uint64_t packets)
{
	uint64_t sum = 0, number;
	int n;

	while (packets > 0) {
		if ((n = nmx_rx_sync(rx)) == 0)
			n = nmx_rx_wait(rx, -1);
		if (n < 0)
			fail("receiving", n);
		nmx_rx_for_each (rx, frame) {
			memcpy(&number, frame.data, sizeof(number));
			sum += number;
			packets--;
		}
	}
	return sum;
}

int main(int argc, char **argv)
{
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
	uint64_t packets = argc > 1 && !help ? read_number("pipe_threads: PACKETS", argv[1]) : 1000000, sum;
	struct nmx_port *from, *to;
	struct nmx_report why;
	struct nmx_rx *rx;
	struct job job = { .packets = packets };
	pthread_t thread;

	if (help || packets == 0) {
		printf("usage: pipe_threads [PACKETS]     sends so many (1000000) from a thread to another\n");
		return help ? 0 : 2;
	}
	if (nmx_open(&from, "threads{1", NULL, &why) < 0 || nmx_open(&to, "threads}1", NULL, &why) < 0) {
		fprintf(stderr, "pipe_threads: %s\n", why.text);
		return 1;
	}
	if (nmx_tx_ring(from, 0, &job.tx) < 0 || nmx_rx_ring(to, 0, &rx) < 0)
		return 1;
	if (pthread_create(&thread, NULL, writer, &job) != 0)
		return 1;
	sum = read_all(rx, packets);
	pthread_join(thread, NULL);
	printf("%llu packets, their numbers add up to %llu: %s\n", (unsigned long long)packets, (unsigned long long)sum,
	       sum == packets * (packets + 1) / 2 ? "right" : "WRONG");
	nmx_rx_close(rx);
	nmx_tx_close(job.tx);
	nmx_close(from);
	nmx_close(to);
	return sum == packets * (packets + 1) / 2 ? 0 : 1;
}
