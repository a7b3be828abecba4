/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a packet costs its sender, with more and more ports in the switch, and more and more addresses known: all ports in
 * one thread, so that nothing but the switch is measured. */
#include <stdio.h>
#include <stdlib.h>

#include <nmx/switch.h>

#include "plot.h"
#include "switch.h"

enum { MOST_PORTS = 254, SLOTS = 256, BATCH = 128, LEN = 60, ROUNDS = 5, ROUND_MS = 60 };

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static void check(int err)
{
	if (err < 0)
		die("nmx", nmx_strerror(err));
}

static struct end open_end(const char *directory, const char *name)
{
	struct nmx_options options = { .directory = directory, .tx_slots = 2 * SLOTS, .rx_slots = SLOTS };
	struct nmx_report why;
	struct end end;

	if (nmx_open(&end.port, name, &options, &why) < 0)
		die("nmx_open", why.text);
	check(nmx_tx_ring(end.port, 0, &end.tx));
	check(nmx_rx_ring(end.port, 0, &end.rx));
	return end;
}

static void close_end(struct end *end)
{
	nmx_tx_close(end->tx);
	nmx_rx_close(end->rx);
	nmx_close(end->port);
}

static void address_of(uint32_t number, uint8_t mac[6])
{
	const uint8_t value[6] = {
		2, 1, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number
	};

	memcpy(mac, value, 6);
}

/* From addresses first to first + n - 1, to nobody that is known: they are learnt. */
static void say_hello(struct end *end, uint32_t first, uint32_t n)
{
	static const uint8_t nobody[6] = { 2, 2 };
	struct nmx_batch batch;
	uint8_t mac[6];

	for (uint32_t i = 0; i < n;) {
		uint8_t *data;

		if (nmx_tx_space(end->tx) == 0)
			check(nmx_tx_sync(end->tx));
		check(nmx_tx_reserve(end->tx, n - i < BATCH ? n - i : BATCH, &batch));
		for (; (data = nmx_batch_packet(&batch, LEN)); i++) {
			address_of(first + i, mac);
			const struct header header = header_to(nobody, mac);
			memcpy(data, header.bytes, HEADER);
		}
		nmx_batch_commit(&batch);
		check(nmx_tx_sync(end->tx));
	}
}

static void drain(struct end *end)
{
	while (nmx_rx_sync(end->rx) > 0)
		nmx_rx_for_each (end->rx, frame)
			(void)frame;
}

/* One batch to the addresses *at, *at + step, ... modulo n.  Nanoseconds. */
static uint64_t send_batch(struct end *from, uint32_t n, uint32_t step, uint32_t *at)
{
	static const uint8_t sender[6] = { 2, 3 };
	uint64_t begin = now_ns();
	struct nmx_batch batch;
	uint8_t mac[6], *data;

	check(nmx_tx_reserve(from->tx, BATCH, &batch));
	while ((data = nmx_batch_packet(&batch, LEN))) {
		address_of(*at, mac);
		const struct header header = header_to(mac, sender);
		memcpy(data, header.bytes, HEADER);
		*at = (*at + step) % n;
	}
	nmx_batch_commit(&batch);
	check(nmx_tx_sync(from->tx));
	return now_ns() - begin;
}

/* Who sends what to whom. */
struct traffic {
	struct end *from, *to;
	uint32_t ends, addresses, step, at;
};

static uint64_t send_and_drain(struct traffic *t)
{
	uint64_t spent = send_batch(t->from, t->addresses, t->step, &t->at);

	for (uint32_t k = 0; k < t->ends; k++)
		drain(&t->to[k]);
	return spent;
}

/* Nanoseconds a packet: the median of some rounds.  Before them every buffer of the queues goes round twice: the first
 * time, the kernel finds memory for it. */
static double cost(struct end *from, struct end *to, uint32_t ends, uint32_t addresses, uint32_t step)
{
	struct traffic t = { .from = from, .to = to, .ends = ends, .addresses = addresses, .step = step };
	double rounds[ROUNDS];

	for (uint32_t i = 0; i < 4 * SLOTS * ends / BATCH; i++)
		send_and_drain(&t);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t spent = 0, packets = 0, end = now_ns() + ROUND_MS * 1000000ull;

		for (; now_ns() < end; packets += BATCH)
			spent += send_and_drain(&t);
		rounds[i] = (double)spent / (double)packets;
	}
	return quantile(rounds, ROUNDS, 0.5);
}

static void show(const char *what, uint32_t n, uint32_t known, const char *how, double ns, bool json)
{
	if (json)
		printf("{\"case\":\"growth-%s\",\"%s\":%u,\"known\":%u,\"to\":\"%s\",\"ns\":%.4g}\n", what, what, n,
		       known, how, ns);
	else
		printf("%-10s %7u  %7u known  to %-3s %7.1f ns\n", what, n, known, how, ns);
	fflush(stdout);
}

static int count_address(const struct nmx_switch_address *address, void *arg)
{
	(void)address;
	++*(uint32_t *)arg;
	return 0;
}

static uint32_t known_addresses(const char *directory)
{
	const struct nmx_switch_options options = { .directory = directory };
	uint32_t n = 0;

	check(nmx_switch_table("vale0", &options, count_address, &n, NULL));
	return n;
}

static void with_ports(const char *directory, uint32_t ports, bool json, struct panel *panel)
{
	static struct end to[MOST_PORTS];
	struct end from = open_end(directory, "vale0:s");
	double one, all;
	char name[24];

	for (uint32_t i = 0; i + 1 < ports; i++) {
		snprintf(name, sizeof(name), "vale0:r%u", i);
		to[i] = open_end(directory, name);
		say_hello(&to[i], i, 1);
	}
	for (uint32_t i = 0; i + 1 < ports; i++)
		drain(&to[i]);
	one = cost(&from, to, 1, 1, 1);
	all = cost(&from, to, ports - 1, ports - 1, 1);
	show("ports", ports, known_addresses(directory), "one", one, json);
	show("ports", ports, known_addresses(directory), "all", all, json);
	curve_add(&panel->curve[0], ports, all);
	curve_add(&panel->curve[1], ports, one);
	close_end(&from);
	for (uint32_t i = 0; i + 1 < ports; i++)
		close_end(&to[i]);
}

static void with_addresses(const char *directory, uint32_t addresses, bool json, struct panel *panel)
{
	struct end from = open_end(directory, "vale0:s"), to = open_end(directory, "vale0:r");
	uint32_t step = 7919; /* a prime: all of them, in no order that a cache could foresee */
	double all;

	say_hello(&to, 0, addresses);
	all = cost(&from, &to, 1, addresses, step);
	show("addresses", addresses, known_addresses(directory), "all", all, json);
	curve_add(&panel->curve[0], addresses, all);
	close_end(&from);
	close_end(&to);
}

void growth(const char *directory, bool json, const char *svg)
{
	static const uint32_t ports[] = { 2, 16, 128, 254 }, addresses[] = { 10, 1000, 100000 };
	struct panel panels[2] = {
		{ .label = "ports of the switch (logarithmic)",
		  .curves = 2,
		  .curve = { { .name = "to all ports in turn" }, { .name = "to one port" } } },
		{ .label = "addresses behind one port (logarithmic)",
		  .curves = 1,
		  .curve = { { .name = "to all addresses" } } },
	};

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		with_ports(directory, ports[i], json, &panels[0]);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++)
		with_addresses(directory, addresses[i], json, &panels[1]);
	if (svg)
		write_plot(svg, "nanoseconds a packet, 60 bytes", panels, 2);
}
