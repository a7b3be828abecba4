/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <unistd.h>
#include <uv.h>

#include "event.h"

struct bare {
	uv_poll_t poll;
	int fd;
	void (*fn)(void *arg);
	void *arg;
};

static uint64_t wakes;

static void count_wake(uv_check_t *check)
{
	wakes++;
	if (event_stop)
		uv_stop(check->loop);
}

static uint64_t receive(struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct nmx_uv_rx *receiver;
	uv_check_t check;
	uv_loop_t loop;

	if (uv_loop_init(&loop) < 0 || nmx_uv_rx_open(&receiver, &loop, rx, fn, arg) < 0)
		die("uv", "no loop");
	uv_check_init(&loop, &check);
	uv_check_start(&check, count_wake);
	wakes = 0;
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&check, NULL);
	nmx_uv_rx_close(receiver, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return wakes;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct bare *bare = poll->data;
	uint64_t got;

	(void)events;
	if (status < 0 || read(bare->fd, &got, sizeof(got)) != sizeof(got))
		return;
	bare->fn(bare->arg);
	if (event_stop)
		uv_stop(poll->loop);
}

static void read_events(int fd, void (*fn)(void *arg), void *arg)
{
	struct bare bare = { .fd = fd, .fn = fn, .arg = arg };
	uv_loop_t loop;

	if (uv_loop_init(&loop) < 0 || uv_poll_init(&loop, &bare.poll, fd) < 0)
		die("uv", "no loop");
	bare.poll.data = &bare;
	uv_poll_start(&bare.poll, UV_READABLE, on_event);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&bare.poll, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

const struct event_loop event_uv = { receive, read_events };
