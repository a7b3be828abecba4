/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "port.h"

#include <inttypes.h>
#include <stdlib.h>

#include "say.h"
#include "units.h"

static int check_out(struct port *port, uint32_t flags)
{
	int err = 0;

	if (!(flags & NMX_RX_ONLY))
		err = nmx_tx_ring(port->nm, 0, &port->tx);
	if (err < 0)
		return err;
	uint32_t rings = flags & NMX_TX_ONLY ? 0 : port->info.rx_rings;
	port->rx = calloc(rings ? rings : 1, sizeof(struct nmx_rx *));
	if (!port->rx)
		return NMX_ERR_NO_MEMORY;
	for (; port->num_rx < rings; port->num_rx++) {
		err = nmx_rx_ring(port->nm, port->num_rx, &port->rx[port->num_rx]);
		if (err < 0)
			return err;
	}
	return 0;
}

int port_open(struct port *port, const char *command, const struct port_options *options, uint32_t flags)
{
	struct nmx_options open_options = {
		.tx_slots = (uint32_t)options->slots,
		.rx_slots = (uint32_t)options->slots,
		.flags = flags,
		.directory = options->directory,
		.segment = options->segment,
	};
	struct nmx_report report = { 0 };

	*port = (struct port){ .command = command, .name = options->name };
	int err = nmx_open(&port->nm, options->name, &open_options, &report);
	if (err < 0)
		return say(command, "%s", report.text[0] ? report.text : nmx_strerror(err));
	if (report.text[0])
		say(command, "%s", report.text);
	nmx_port_info(port->nm, &port->info);
	err = check_out(port, flags);
	if (err < 0) {
		port_close(port);
		return say(command, "%s: %s", options->name, nmx_strerror(err));
	}
	return EXIT_OK;
}

void port_close(struct port *port)
{
	for (uint32_t i = 0; i < port->num_rx; i++)
		nmx_rx_close(port->rx[i]);
	free(port->rx);
	nmx_tx_close(port->tx);
	nmx_close(port->nm);
	*port = (struct port){ .command = port->command, .name = port->name };
}

int port_wait_rx(struct port *port, int timeout_ms)
{
	struct nmx_wait_entry entries[64] = { { 0 } };
	uint32_t n = port->num_rx < 64 ? port->num_rx : 64; /* more rings than that are looked at every slice */

	if (n == 1)
		return nmx_rx_wait(port->rx[0], timeout_ms);
	for (uint32_t i = 0; i < n; i++)
		entries[i].rx = port->rx[i];
	return nmx_wait(entries, n, timeout_ms);
}

#define CAUSES 8
struct cause {
	uint64_t count;
	const char *key, *what;
};

static void list_drops(const struct port *port, struct cause causes[CAUSES])
{
	struct nmx_stats s = { 0 };

	nmx_port_stats(port->nm, &s);
	causes[0] = (struct cause){ s.drop_full, "full", "the destination was full" };
	causes[1] = (struct cause){ s.drop_too_long, "too_long", "too long" };
	causes[2] = (struct cause){ s.drop_too_short, "too_short", "empty" };
	causes[3] = (struct cause){ s.drop_no_buffer, "no_buffer", "no buffer" };
	causes[4] = (struct cause){ s.drop_invalid, "invalid", "invalid descriptors" };
	causes[5] = (struct cause){ s.drop_kernel, "kernel", "dropped by the kernel" };
	causes[6] = (struct cause){ s.drop_unread, "unread", "received and never read" };
	causes[7] = (struct cause){ s.drop_device, "device", "dropped by the interface" };
}

void port_drops_json(const struct port *port, struct json *json)
{
	struct cause causes[CAUSES];

	list_drops(port, causes);
	json_object(json, "drops");
	for (int i = 0; i < CAUSES; i++)
		if (causes[i].count)
			json_u64(json, causes[i].key, causes[i].count);
	json_close_object(json);
}

void port_drops_say(const struct port *port, FILE *to)
{
	struct cause causes[CAUSES];
	char text[UNITS_TEXT];

	list_drops(port, causes);
	for (int i = 0; i < CAUSES; i++)
		if (causes[i].count)
			fprintf(to, "dropped  %s: %s\n", units_grouped(text, causes[i].count), causes[i].what);
}
