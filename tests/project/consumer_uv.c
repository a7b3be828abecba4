/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* As consumer.c, in a loop of libuv: built against the installed libraries, as C11 and as C++17. */
#include <stdio.h>
#include <uv.h>

#include <nmx/event.h>

static struct nmx_uv_rx *receiver;
static struct nmx_uv_tx *sender;
static unsigned bytes;

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	(void)err, (void)arg;
	nmx_rx_for_each (rx, frame)
		bytes += frame.len;
	nmx_uv_rx_close(receiver, NULL);
	nmx_uv_tx_close(sender, NULL);
}

static void on_room(struct nmx_tx *tx, int err, void *arg)
{
	(void)arg;
	if (err == 0 && nmx_tx_send(tx, "hello", 5) == 0)
		nmx_uv_tx_flush(sender);
}

int main(void)
{
	struct nmx_port *port;
	struct nmx_report why;
	struct nmx_tx *tx;
	struct nmx_rx *rx;

	if (nmx_open(&port, "loop:", NULL, &why) < 0 || nmx_rx_ring(port, 0, &rx) < 0 || nmx_tx_ring(port, 0, &tx) < 0 ||
	    nmx_uv_rx_open(&receiver, uv_default_loop(), rx, on_packets, NULL) < 0 ||
	    nmx_uv_tx_open(&sender, uv_default_loop(), tx, on_room, NULL) < 0)
		return 1;
	nmx_close(port);
	nmx_uv_tx_want(sender, 1);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	return bytes == 5 && uv_loop_close(uv_default_loop()) == 0 ? 0 : 1;
}
