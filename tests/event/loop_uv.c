/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <uv.h>

#include "loops.h"

struct uv_rig {
	uv_loop_t loop;
	uv_timer_t alarm; /* ends the sleep */
	bool rang;
};

static void *uv_open(const char **why)
{
	struct uv_rig *rig = calloc(1, sizeof(*rig));

	*why = "uv_loop_init";
	if (!rig || uv_loop_init(&rig->loop) < 0) {
		free(rig);
		return NULL;
	}
	uv_timer_init(&rig->loop, &rig->alarm);
	return rig;
}

static void uv_end(void *loop)
{
	struct uv_rig *rig = loop;

	uv_close((uv_handle_t *)&rig->alarm, NULL);
	require_equal(uv_run(&rig->loop, UV_RUN_DEFAULT), 0);
	require_equal(uv_loop_close(&rig->loop), 0); /* nothing is left in it */
	free(rig);
}

static void on_alarm(uv_timer_t *alarm)
{
	struct uv_rig *rig = (struct uv_rig *)alarm->loop;

	rig->rang = true;
	uv_stop(alarm->loop); /* or it sleeps, if this came before it was about to */
}

static enum loop_turn uv_turn(void *loop, int sleep_ms)
{
	struct uv_rig *rig = loop;
	bool sleeps = sleep_ms > 0 && uv_backend_timeout(&rig->loop) != 0;

	rig->rang = false;
	uv_update_time(&rig->loop);
	uv_timer_start(&rig->alarm, on_alarm, (uint64_t)sleep_ms, 0);
	uv_run(&rig->loop, sleep_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	uv_timer_stop(&rig->alarm);
	return rig->rang ? LOOP_ALARM : sleeps ? LOOP_WOKEN : LOOP_AWAKE;
}

static int rx_open(void **receiver, void *loop, struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct uv_rig *rig = loop;

	return nmx_uv_rx_open((struct nmx_uv_rx **)receiver, &rig->loop, rx, fn, arg);
}

static void rx_stop(void *receiver) { nmx_uv_rx_stop(receiver); }
static void rx_start(void *receiver) { nmx_uv_rx_start(receiver); }
static void rx_close(void *receiver, nmx_on_closed *closed) { nmx_uv_rx_close(receiver, closed); }

static int tx_open(void **sender, void *loop, struct nmx_tx *tx, nmx_on_room *fn, void *arg)
{
	struct uv_rig *rig = loop;

	return nmx_uv_tx_open((struct nmx_uv_tx **)sender, &rig->loop, tx, fn, arg);
}

static void tx_flush(void *sender) { nmx_uv_tx_flush(sender); }
static void tx_want(void *sender, uint32_t slots) { nmx_uv_tx_want(sender, slots); }
static void tx_close(void *sender, nmx_on_closed *closed) { nmx_uv_tx_close(sender, closed); }

static const struct loop_kind kind = {
	"uv", uv_open, uv_end, uv_turn, rx_open, rx_stop, rx_start, rx_close, tx_open, tx_flush, tx_want, tx_close,
};
const struct loop_kind *const loop_uv = &kind;
