/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A program that keeps the rules is not stopped: a million packets in every way there is, each checked, with the rings
 * handed from thread to thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nmx/nmx.h>

#define PACKETS 1000000
#define BATCH   16

struct work {
	struct nmx_port *port, *back;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	struct nmx_buf bufs[4];
	uint32_t sent, received, until;
};

#define NEED(condition) ((condition) ? (void)0 : failed(#condition, __LINE__))
__attribute__((__noreturn__)) static void failed(const char *condition, int line)
{
	fprintf(stderr, "line %d: not so: %s\n", line, condition);
	exit(1);
}

static void send_batch(struct work *w)
{
	struct nmx_batch batch;
	uint8_t *data;

	NEED(nmx_tx_reserve(w->tx, BATCH, &batch) > 0);
	while ((data = nmx_batch_packet(&batch, 100)) != NULL) {
		memcpy(data, &w->sent, sizeof(w->sent));
		nmx_batch_trim(&batch, 60);
		w->sent++;
	}
	nmx_batch_commit(&batch);
	NEED(nmx_tx_reserve(w->tx, 1, &batch) >= 0);
	nmx_batch_cancel(&batch);
}

static void send_copies(struct work *w)
{
	while (nmx_tx_space(w->tx) > 0 && nmx_tx_send(w->tx, &w->sent, sizeof(w->sent)) == 0)
		w->sent++;
}

static void send_bufs(struct work *w)
{
	for (int i = 0; i < 4; i++) {
		memcpy(w->bufs[i].data, &w->sent, sizeof(w->sent));
		w->bufs[i].len = sizeof(w->sent);
		if (nmx_tx_put(w->tx, &w->bufs[i]) == 0)
			w->sent++;
	}
}

static void check_frame(struct work *w, const struct nmx_frame *frame)
{
	NEED(memcmp(frame->data, &w->received, sizeof(w->received)) == 0);
	w->received++;
}

static void receive_one_by_one(struct work *w)
{
	struct nmx_frame frame;

	while (nmx_rx_peek(w->rx, &frame)) {
		check_frame(w, &frame);
		nmx_rx_next(w->rx);
	}
}

static void receive_array(struct work *w)
{
	struct nmx_frame frames[BATCH];
	uint32_t n = nmx_rx_recv_batch(w->rx, frames, BATCH);

	for (uint32_t i = 0; i < n; i++)
		check_frame(w, &frames[i]);
	for (uint32_t i = 0; i < n && i < 4; i++)
		NEED(nmx_frame_take(&frames[i], &w->bufs[i]) == 0);
}

static void receive_some(struct work *w)
{
	uint32_t n = 0;

	nmx_rx_for_each (w->rx, frame) {
		if (n++ == 7)
			break;
		check_frame(w, &frame);
	}
}

static void *turns(void *arg)
{
	struct work *w = arg;

	for (uint32_t turn = 0; w->received < w->until; turn++) {
		switch (turn % 3) {
		case 0:
			if (nmx_tx_space(w->tx))
				send_batch(w);
			break;
		case 1:
			send_copies(w);
			break;
		default:
			send_bufs(w);
		}
		NEED(nmx_tx_sync(w->tx) >= 0);
		NEED(nmx_rx_sync(w->rx) >= 0);
		switch (turn % 5) {
		case 0:
			receive_array(w);
			break;
		case 1:
			receive_some(w);
			break;
		default:
			receive_one_by_one(w);
		}
	}
	nmx_tx_unbind(w->tx);
	nmx_rx_unbind(w->rx);
	return NULL;
}

static void run(const char *out, const char *in, uint32_t slots, const char *directory)
{
	struct nmx_options options = { .tx_slots = slots, .rx_slots = slots, .extra_bufs = 4, .directory = directory };
	struct work w = { 0 };

	NEED(nmx_open(&w.port, out, &options, NULL) == 0);
	if (in)
		NEED(nmx_open(&w.back, in, &options, NULL) == 0);
	NEED(nmx_tx_ring(w.port, 0, &w.tx) == 0);
	NEED(nmx_rx_ring(w.back ? w.back : w.port, 0, &w.rx) == 0);
	NEED(nmx_buf_get(w.port, w.bufs, 4) == 4);
	for (w.until = PACKETS / 16; w.until <= PACKETS / 4; w.until += PACKETS / 16) {
		pthread_t thread;

		NEED(pthread_create(&thread, NULL, turns, &w) == 0);
		pthread_join(thread, NULL);
	}
	nmx_buf_put(w.port, w.bufs, 4);
	nmx_tx_close(w.tx);
	nmx_rx_close(w.rx);
	nmx_close(w.port);
	nmx_close(w.back);
}

int main(void)
{
	char directory[] = "/dev/shm/nmx-test-XXXXXX";

	if (!mkdtemp(directory)) {
		puts("skipped: no directory can be made in /dev/shm");
		return 77;
	}
	run("loop:", NULL, 64, directory);
	run("loop:", NULL, 9, directory);
	run("x{1", "x}1", 64, directory);
	run("x{1", "x}1", 3, directory);
	remove(directory);
	return 0;
}
