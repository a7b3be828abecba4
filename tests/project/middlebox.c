/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * middlebox A B LOST DOUBLED LATE SEED: a bad path between two ports, both ways: of a hundred packets it loses LOST, sends
 * DOUBLED twice, and holds LATE back until up to MOST_LATE others have passed them.  Ends when either port's other end
 * has gone and everything has been passed on.
 */
#include <stdio.h>
#include <stdlib.h>

#include <nmx/nmx.h>

enum { HELD = 64, MOST_LATE = 32 };

static struct {
	uint32_t lost, doubled, late, seed;
} path;
static uint64_t passed, lost, doubled, late;

/* One direction. */
struct way {
	struct nmx_rx *rx;
	struct nmx_tx *tx;
	struct nmx_buf held[HELD]; /* those that are held back have a length */
	uint32_t others[HELD];     /* that are yet to pass it */
	bool over;
};

static bool happens(uint32_t percent)
{
	path.seed = path.seed * 1664525u + 1013904223u;
	return (path.seed >> 8) % 100 < percent;
}

static int send_held(struct way *w, bool all)
{
	int err = 0;

	for (int i = 0; i < HELD && err == 0; i++)
		if (w->held[i].len > 0 && (all || w->others[i] == 0))
			err = nmx_tx_put(w->tx, &w->held[i]);
	return err;
}

/* True: it is held back.  There may be no place for it. */
static bool hold_back(struct way *w, struct nmx_frame *frame)
{
	for (int i = 0; i < HELD; i++)
		if (w->held[i].len == 0 && nmx_frame_take(frame, &w->held[i]) == 0) {
			w->others[i] = 1 + (path.seed >> 8) % MOST_LATE;
			late++;
			return true;
		}
	return false;
}

/* 0, or why the frame has to wait. */
static int pass(struct way *w, struct nmx_frame *frame)
{
	int err = send_held(w, false);

	if (err < 0 || nmx_tx_space(w->tx) < 2)
		return NMX_ERR_WOULD_BLOCK;
	for (int i = 0; i < HELD; i++)
		w->others[i] -= w->others[i] > 0;
	passed++;
	if (happens(path.lost)) {
		lost++;
		return 0;
	}
	if (happens(path.doubled)) {
		doubled++;
		err = nmx_tx_send(w->tx, frame->data, frame->len);
	}
	if (err == 0 && happens(path.late) && hold_back(w, frame))
		return 0;
	return err < 0 ? err : nmx_tx_forward(w->tx, frame);
}

static int pass_all(struct way *w)
{
	int n = nmx_rx_sync(w->rx), err;

	if (n == NMX_ERR_PEER_GONE) {
		w->over = true;
		n = 0;
	}
	if (n == 0 && (err = send_held(w, true)) < 0 && err != NMX_ERR_WOULD_BLOCK) /* nothing is coming that could pass them */
		return err;
	nmx_rx_for_each (w->rx, frame)
		if (pass(w, &frame) < 0)
			break;
	err = nmx_tx_sync(w->tx);
	return n < 0 ? n : err < 0 && err != NMX_ERR_PEER_GONE ? err : 0;
}

static int open_end(struct nmx_port **port, const char *name, struct way *in, struct way *out)
{
	struct nmx_report why;
	int err = nmx_open(port, name, &(struct nmx_options){ .extra_bufs = HELD }, &why);

	if (err < 0) {
		fprintf(stderr, "middlebox: %s\n", why.text);
		return err;
	}
	if ((err = nmx_rx_ring(*port, 0, &in->rx)) < 0 || (err = nmx_tx_ring(*port, 0, &out->tx)) < 0)
		return err;
	return nmx_buf_get(*port, in->held, HELD) == HELD ? 0 : NMX_ERR_NO_MEMORY;
}

static int run(struct way *a, struct way *b)
{
	struct nmx_wait_entry rings[2] = { { .rx = a->rx }, { .rx = b->rx } };
	int err = 0;

	while (err >= 0 && !a->over && !b->over) {
		if ((err = pass_all(a)) == 0 && (err = pass_all(b)) == 0)
			err = nmx_wait(rings, 2, 20);
	}
	return err;
}

static void close_way(struct way *w)
{
	(void)!nmx_tx_drain(w->tx, 1000);
	nmx_rx_close(w->rx);
	nmx_tx_close(w->tx);
}

int main(int argc, char **argv)
{
	static struct way there, back;
	NMX_AUTO(port) a = NULL;
	NMX_AUTO(port) b = NULL;
	int err;

	if (argc != 7)
		return 2;
	path.lost = (uint32_t)strtoul(argv[3], NULL, 10);
	path.doubled = (uint32_t)strtoul(argv[4], NULL, 10);
	path.late = (uint32_t)strtoul(argv[5], NULL, 10);
	path.seed = (uint32_t)strtoul(argv[6], NULL, 10);
	if ((err = open_end(&a, argv[1], &there, &back)) < 0 || (err = open_end(&b, argv[2], &back, &there)) < 0)
		return 1;
	err = run(&there, &back);
	close_way(&there);
	close_way(&back);
	printf("%llu packets: %llu lost, %llu doubled, %llu late\n", (unsigned long long)passed, (unsigned long long)lost,
	       (unsigned long long)doubled, (unsigned long long)late);
	if (err < 0)
		fprintf(stderr, "middlebox: %s\n", nmx_strerror(err));
	return err < 0 ? 1 : 0;
}
