/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The contenders that are ports of nmx: of a switch, of a pipe, and of interfaces with a bridge of the kernel's between. */
#include <stdio.h>
#include <unistd.h>

#include <nmx/inspect.h>
#include <nmx/nmx.h>

#include "switch.h"

static struct nmx_port *open_port(const struct switch_contender *c, const struct switch_plan *plan,
                                  const char *format, uint32_t index)
{
	struct nmx_options options = { .directory = plan->base.directory,
		                       .tx_slots = plan->base.slots,
		                       .rx_slots = plan->base.slots,
		                       .flags = c->flags };
	struct nmx_report why;
	struct nmx_port *port;
	char name[32];

	snprintf(name, sizeof(name), "%s", format);
	if (!c->only_one)
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%u", index);
	if (nmx_open(&port, name, &options, &why) < 0)
		die("nmx_open", why.text);
	return port;
}

static void check(int err)
{
	if (err < 0 && err != NMX_ERR_PEER_GONE)
		die("nmx", nmx_strerror(err));
}

static bool wait_for_room(const struct switch_plan *plan, struct meeting *m, struct nmx_tx *tx)
{
	while (nmx_tx_space(tx) < plan->base.batch) {
		check(nmx_tx_sync(tx));
		if (is_stopped(m))
			return false;
	}
	return true;
}

static void port_send(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m,
                      uint32_t index)
{
	struct nmx_port *port = open_port(c, plan, c->tx_name, index);
	const struct header header = header_of_sender(plan, index);
	struct nmx_batch batch;
	struct nmx_tx *tx;
	uint64_t seed = 0;
	uint8_t *data;

	check(nmx_tx_ring(port, 0, &tx));
	gather(plan, m);
	while (!is_stopped(m) && wait_for_room(plan, m, tx)) {
		check(nmx_tx_reserve(tx, plan->base.batch, &batch));
		while ((data = nmx_batch_packet(&batch, plan->base.len)))
			write_packet(data, plan, &header, seed++);
		nmx_batch_commit(&batch);
		check(nmx_tx_sync(tx));
	}
	nmx_tx_close(tx);
	nmx_close(port);
}

static void say_hello(struct nmx_port *port, uint32_t index)
{
	const struct header hello = header_of_receiver(index);
	uint8_t data[60] = { 0 };
	struct nmx_tx *tx;

	memcpy(data, hello.bytes, HEADER);
	check(nmx_tx_ring(port, 0, &tx));
	check(nmx_tx_send(tx, data, sizeof(data)));
	check(nmx_tx_sync(tx));
	nmx_tx_close(tx);
}

/* What has come on one ring: packets. */
static uint32_t take(const struct switch_plan *plan, struct nmx_rx *rx, uint64_t *sum)
{
	int n = nmx_rx_sync(rx);

	check(n);
	if (plan->base.touch)
		nmx_rx_for_each (rx, frame)
			*sum += read_payload(frame.data, frame.len);
	else
		nmx_rx_for_each (rx, frame)
			*sum += frame.len;
	return n > 0 ? (uint32_t)n : 0;
}

static void port_receive(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m)
{
	uint32_t n = receivers_of(plan);
	struct nmx_port *port[FLOOD_RECEIVERS];
	struct nmx_rx *rx[FLOOD_RECEIVERS];
	uint64_t count = 0, sum = 0;
	struct window window;

	for (uint32_t i = 0; i < n; i++) {
		port[i] = open_port(c, plan, c->rx_name, senders_of(plan) + i);
		check(nmx_rx_ring(port[i], 0, &rx[i]));
		if (c != &pipe_contender)
			say_hello(port[i], i);
	}
	gather(plan, m);
	window = window_open(&plan->base);
	for (uint32_t turn = 0; turn % 256 || !window_over(&window, count, m); turn++)
		for (uint32_t i = 0; i < n; i++)
			count += take(plan, rx[i], &sum);
	m->checksum = sum;
	for (uint32_t i = 0; i < n; i++) {
		nmx_rx_close(rx[i]);
		nmx_close(port[i]);
	}
}

static void bridge_missing(const char *directory, char *why, size_t size)
{
	struct nmx_report report;

	(void)directory;
	if (geteuid() != 0)
		snprintf(why, size, "it needs root, for interfaces of its own");
	else if (nmx_backend_probe(NMX_XDP, NULL, &report) < 0)
		snprintf(why, size, "%s", report.text);
}

const struct switch_contender switch_contender = {
	.is = { "nmx", NULL }, .send = port_send, .receive = port_receive, .tx_name = "vale0:s", .rx_name = "vale0:r"
};
const struct switch_contender blocking_contender = { .is = { "nmx+block", NULL },
	                                             .send = port_send,
	                                             .receive = port_receive,
	                                             .tx_name = "vale0:s",
	                                             .rx_name = "vale0:r",
	                                             .flags = NMX_BLOCKING };
const struct switch_contender pipe_contender = { .is = { "pipe", NULL },
	                                         .send = port_send,
	                                         .receive = port_receive,
	                                         .only_one = true,
	                                         .tx_name = "bench{1",
	                                         .rx_name = "bench}1" };
const struct switch_contender bridge_contender = { .is = { "bridge", bridge_missing },
	                                           .send = port_send,
	                                           .receive = port_receive,
	                                           .tx_name = "xdp:c",
	                                           .rx_name = "xdp:c",
	                                           .flags = NMX_RAW_CHECKSUM };
