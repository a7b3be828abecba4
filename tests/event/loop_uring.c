/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "loops.h"

struct uring_rig {
	struct io_uring uring;
	struct nmx_uring *loop;
};

static void *uring_open(const char **why)
{
	static char reason[128];
	struct uring_rig *rig = calloc(1, sizeof(*rig));
	int err = rig ? io_uring_queue_init(8, &rig->uring, 0) : -ENOMEM;

	if (err < 0 || nmx_uring_open(&rig->loop, &rig->uring) < 0) {
		snprintf(reason, sizeof(reason), "io_uring is not permitted here: %s (seccomp, or /proc/sys/kernel/io_uring_disabled)",
		         strerror(-err));
		*why = reason;
		free(rig);
		return NULL;
	}
	return rig;
}

static void uring_end(void *loop)
{
	struct uring_rig *rig = loop;

	nmx_uring_close(rig->loop);
	io_uring_queue_exit(&rig->uring);
	free(rig);
}

static enum loop_turn uring_turn(void *loop, int sleep_ms)
{
	struct uring_rig *rig = loop;
	struct __kernel_timespec most = { sleep_ms / 1000, sleep_ms % 1000 * 1000000L };
	int more = nmx_uring_turn(rig->loop);
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	if (more)
		require(io_uring_submit_and_get_events(&rig->uring) >= 0);
	else
		(void)!io_uring_submit_and_wait_timeout(&rig->uring, &cqe, 1, &most, NULL); /* -ETIME */
	io_uring_for_each_cqe (&rig->uring, head, cqe) {
		require(nmx_uring_completion(rig->loop, cqe));
		count++;
	}
	io_uring_cq_advance(&rig->uring, count);
	return more ? LOOP_AWAKE : count > 0 ? LOOP_WOKEN : LOOP_ALARM;
}

static int rx_open(void **receiver, void *loop, struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct uring_rig *rig = loop;

	return nmx_uring_rx_open((struct nmx_uring_rx **)receiver, rig->loop, rx, fn, arg);
}

static void rx_stop(void *receiver) { nmx_uring_rx_stop(receiver); }
static void rx_start(void *receiver) { nmx_uring_rx_start(receiver); }
static void rx_close(void *receiver, nmx_on_closed *closed) { nmx_uring_rx_close(receiver, closed); }

static int tx_open(void **sender, void *loop, struct nmx_tx *tx, nmx_on_room *fn, void *arg)
{
	struct uring_rig *rig = loop;

	return nmx_uring_tx_open((struct nmx_uring_tx **)sender, rig->loop, tx, fn, arg);
}

static void tx_flush(void *sender) { nmx_uring_tx_flush(sender); }
static void tx_want(void *sender, uint32_t slots) { nmx_uring_tx_want(sender, slots); }
static void tx_close(void *sender, nmx_on_closed *closed) { nmx_uring_tx_close(sender, closed); }

static const struct loop_kind kind = {
	"uring", uring_open, uring_end, uring_turn, rx_open, rx_stop, rx_start, rx_close, tx_open, tx_flush, tx_want, tx_close,
};
const struct loop_kind *const loop_uring = &kind;
