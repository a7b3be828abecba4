/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "port.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"
#include "units.h"

static bool is_interface(const struct port *port)
{
	return port->info.backend == NMX_XDP || port->info.backend == NMX_NETMAP;
}

/* Of netmap, that has ports of switches (vale0:a) and pipes (x{1) too: the module makes an interface for x, which nothing
 * passes through. */
static bool is_of_no_interface(const char *name)
{
	size_t len = strcspn(name, "@");

	return strncmp(name, "vale", 4) == 0 || memchr(name, '{', len) || memchr(name, '}', len);
}

/* The interface behind the port, "" when it is none.  What stands before the rings, as the library reads it: '-' begins
 * a ring when only digits follow. */
static void interface_of(const struct port *port, char name[IFNAMSIZ])
{
	static const char *const prefixes[] = { "netmap:", "xdp:" };
	const char *at = port->info.name;
	size_t len;

	name[0] = '\0';
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(at, prefixes[i], strlen(prefixes[i])) == 0)
			at += strlen(prefixes[i]);
	if (!is_interface(port) || (port->info.backend == NMX_NETMAP && is_of_no_interface(at)))
		return;
	len = strcspn(at, "^*/@");
	size_t digits = len;
	while (digits > 0 && at[digits - 1] >= '0' && at[digits - 1] <= '9')
		digits--;
	if (digits > 1 && digits < len && at[digits - 1] == '-')
		len = digits - 1;
	if (len < IFNAMSIZ)
		snprintf(name, IFNAMSIZ, "%.*s", (int)len, at);
}

static int check_out(struct port *port)
{
	const struct nmx_info *info = &port->info;
	uint32_t tx = info->tx_rings + info->host_tx_rings, rx = info->rx_rings + info->host_rx_rings;
	int err = 0;

	port->all_tx = calloc(tx + 1, sizeof(struct nmx_tx *));
	port->rx = calloc(rx + 1, sizeof(struct nmx_rx *));
	if (!port->all_tx || !port->rx)
		return NMX_ERR_NO_MEMORY;
	for (; port->num_tx < tx && err == 0; port->num_tx += err == 0)
		err = nmx_tx_ring(port->nm, port->num_tx, &port->all_tx[port->num_tx]);
	for (; port->num_rx < rx && err == 0; port->num_rx += err == 0)
		err = nmx_rx_ring(port->nm, port->num_rx, &port->rx[port->num_rx]);
	port->tx = port->all_tx[0];
	return err;
}

int port_open(struct port *port, const char *command, const struct port_options *options, uint32_t flags)
{
	if (port_open_any(port, command, options, flags) != EXIT_OK)
		return EXIT_FAILED;
	bool lacks_tx = !(flags & NMX_RX_ONLY) && port->num_tx == 0;
	if (!lacks_tx && ((flags & NMX_TX_ONLY) || port->num_rx > 0)) {
		link_await(&(struct link *){ &port->link }, 1, flags & NMX_RX_ONLY ? 0 : LINK_PATIENCE_NS);
		return EXIT_OK;
	}
	port_close(port);
	return say(command, "%s: the port has no %s ring", options->name, lacks_tx ? "transmit" : "receive");
}

int port_open_any(struct port *port, const char *command, const struct port_options *options, uint32_t flags)
{
	struct nmx_options open_options = {
		.tx_slots = (uint32_t)options->slots,
		.rx_slots = (uint32_t)options->slots,
		.flags = flags,
		.backend = options->backend,
		.directory = options->directory,
		.segment = options->segment,
		.flood_pps = (uint32_t)options->flood_pps,
	};
	struct nmx_report report = { 0 };
	char interface[IFNAMSIZ];

	*port = (struct port){ .command = command, .name = options->name };
	int err = nmx_open(&port->nm, options->name, &open_options, &report);
	if (err < 0)
		return say(command, "%s", report.text[0] ? report.text : nmx_strerror(err));
	if (report.text[0])
		say(command, "%s", report.text);
	nmx_port_info(port->nm, &port->info);
	interface_of(port, interface);
	link_start(&port->link, command, interface);
	err = check_out(port);
	if (err == 0)
		return EXIT_OK;
	port_close(port);
	return say(command, "%s: %s", options->name, nmx_strerror(err));
}

void port_close(struct port *port)
{
	for (uint32_t i = 0; i < port->num_rx; i++)
		nmx_rx_close(port->rx[i]);
	free(port->rx);
	for (uint32_t i = 0; i < port->num_tx; i++)
		nmx_tx_close(port->all_tx[i]);
	free(port->all_tx);
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

#define CAUSES 10
struct cause {
	uint64_t count;
	const char *key, *what;
};

static void list_drops(const struct nmx_stats *stats, struct cause causes[CAUSES])
{
	const struct nmx_stats s = *stats;

	causes[0] = (struct cause){ s.drop_full, "full", "the destination was full" };
	causes[1] = (struct cause){ s.drop_too_long, "too_long", "too long" };
	causes[2] = (struct cause){ s.drop_too_short, "too_short", "empty" };
	causes[3] = (struct cause){ s.drop_no_buffer, "no_buffer", "no buffer" };
	causes[4] = (struct cause){ s.drop_invalid, "invalid", "invalid descriptors" };
	causes[5] = (struct cause){ s.drop_kernel, "kernel", "dropped by the kernel" };
	causes[6] = (struct cause){ s.drop_unread, "unread", "received and never read" };
	causes[7] = (struct cause){ s.drop_device, "device", "dropped by the interface" };
	causes[8] = (struct cause){ s.drop_no_port, "no_port", "for nobody but its sender, or for a port that went" };
	causes[9] = (struct cause){ s.drop_flood, "flood", "more for everybody than is let through" };
}

uint64_t port_not_sent(const struct port *port)
{
	struct nmx_stats s = { 0 };

	nmx_port_stats(port->nm, &s);
	return s.drop_kernel + s.drop_too_long + s.drop_too_short + s.drop_invalid;
}

void stats_drops_json(const struct nmx_stats *stats, struct json *json)
{
	struct cause causes[CAUSES];

	list_drops(stats, causes);
	json_object(json, "drops");
	for (int i = 0; i < CAUSES; i++)
		if (causes[i].count)
			json_u64(json, causes[i].key, causes[i].count);
	json_close_object(json);
}

void stats_drops_say(const struct nmx_stats *stats, const char *name, FILE *to)
{
	struct cause causes[CAUSES];
	char text[UNITS_TEXT];

	list_drops(stats, causes);
	for (int i = 0; i < CAUSES; i++)
		if (causes[i].count)
			fprintf(to, "dropped  %s%s%s: %s\n", name, *name ? ": " : "", units_grouped(text, causes[i].count), causes[i].what);
}

static struct nmx_stats stats_of(const struct port *port)
{
	struct nmx_stats stats = { 0 };

	nmx_port_stats(port->nm, &stats);
	return stats;
}

void port_drops_json(const struct port *port, struct json *json)
{
	struct nmx_stats stats = stats_of(port);

	stats_drops_json(&stats, json);
}

void port_drops_say(const struct port *port, FILE *to)
{
	struct nmx_stats stats = stats_of(port);

	stats_drops_say(&stats, "", to);
}

void port_drops_say_named(const struct port *port, FILE *to)
{
	struct nmx_stats stats = stats_of(port);

	stats_drops_say(&stats, port->name, to);
}

int port_say_error(const struct port *port, int err)
{
	if (err == NMX_ERR_GONE && is_interface(port))
		return say(port->command, "%s: the interface is gone: it was removed, or moved to another network namespace",
			   port->name);
	return say(port->command, "%s: %s", port->name, nmx_strerror(err));
}

int port_rx_news(struct port *port, int result)
{
	if (result != NMX_ERR_LINK_DOWN)
		return result;
	link_look(&port->link);
	return 0;
}

int port_tx_news(struct port *port, const struct nmx_tx *tx, int result)
{
	return port_rx_news(port, result) == result ? result : (int)nmx_tx_space(tx);
}

uint32_t port_spread(const struct port *port)
{
	uint32_t own = port->info.tx_rings;

	return own ? own : port->num_tx;
}
