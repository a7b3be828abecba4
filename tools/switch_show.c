/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "switch_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#include "say.h"
#include "units.h"

/* ---- a port */

void switch_port_json(const struct nmx_switch_port *port, struct json *json)
{
	json_object(json, NULL);
	json_text(json, "name", port->name);
	json_text(json, "backend", nmx_backend_name((enum nmx_backend)port->backend));
	json_u64(json, "switch", port->switch_index);
	json_u64(json, "port", port->index);
	json_text(json, "user", port->user);
	json_bool(json, "stays", port->stays);
	json_bool(json, "stuck", port->stuck);
	if (port->rx_rings) {
		json_u64(json, "tx_rings", port->tx_rings);
		json_u64(json, "rx_rings", port->rx_rings);
		json_u64(json, "tx_slots", port->tx_slots);
		json_u64(json, "rx_slots", port->rx_slots);
	}
	if (port->has_stats) {
		json_u64(json, "rx_packets", port->stats.rx_packets);
		json_u64(json, "rx_bytes", port->stats.rx_bytes);
		json_u64(json, "tx_packets", port->stats.tx_packets);
		json_u64(json, "tx_bytes", port->stats.tx_bytes);
		stats_drops_json(&port->stats, json);
	}
	json_close_object(json);
}

static const char *state_of(const struct nmx_switch_port *port)
{
	if (port->stuck)
		return "stuck: netmap has lost its name in the switch, and can neither detach nor remove it";
	return *port->user ? port->user : port->stays ? "free, stays" : "";
}

void switch_port_say(const struct nmx_switch_port *port)
{
	char received[UNITS_TEXT], sent[UNITS_TEXT];

	printf("%-7s switch %-3u port %-3u %-20s", nmx_backend_name((enum nmx_backend)port->backend),
	       port->switch_index, port->index, port->name);
	if (port->rx_rings)
		printf(" tx %ux%u rx %ux%u", port->tx_rings, port->tx_slots, port->rx_rings, port->rx_slots);
	if (port->has_stats)
		printf("  received %s, sent %s packets", units_grouped(received, port->stats.rx_packets),
		       units_grouped(sent, port->stats.tx_packets));
	printf("  %s\n", state_of(port));
	if (port->has_stats)
		stats_drops_say(&port->stats, port->name, stdout);
}

/* ---- switches */

/* Those that are to be shown, with the ports of each. */
struct showing {
	const struct nmx_switch_options *options;
	struct json *json; /* NULL: text */
	const char *only;  /* NULL: all */
	struct nmx_switch_port *ports;
	size_t num_ports, space;
	uint64_t addresses;
	bool lists;   /* addresses are shown, not only counted */
	size_t first; /* of the ports of the switch at hand */
};

static size_t switch_length(const char *port) { return strcspn(port, ":"); }

static bool same_switch(const char *a, const char *b)
{
	return switch_length(a) == switch_length(b) && strncmp(a, b, switch_length(a)) == 0;
}

static int keep(const struct nmx_switch_port *port, void *arg)
{
	struct showing *s = arg;

	if (s->only && !same_switch(port->name, s->only))
		return 0;
	if (s->num_ports == s->space) {
		size_t space = s->space ? 2 * s->space : 64;
		struct nmx_switch_port *ports = realloc(s->ports, space * sizeof(*ports));
		if (!ports)
			return NMX_ERR_NO_MEMORY;
		s->ports = ports;
		s->space = space;
	}
	s->ports[s->num_ports++] = *port;
	return 0;
}

static const char *port_of(const struct showing *s, uint32_t index)
{
	for (size_t i = s->first; i < s->num_ports && same_switch(s->ports[i].name, s->ports[s->first].name); i++)
		if (s->ports[i].index == index)
			return s->ports[i].name;
	return "";
}

static int show_address(const struct nmx_switch_address *address, void *arg)
{
	const uint8_t *m = address->mac;
	struct showing *s = arg;
	char text[32];

	s->addresses++;
	if (!s->lists)
		return 0;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	if (s->json) {
		json_object(s->json, NULL);
		json_text(s->json, "mac", text);
		json_u64(s->json, "port", address->port);
		json_text(s->json, "name", port_of(s, address->port));
		json_u64(s->json, "age_seconds", address->age_s);
		json_close_object(s->json);
	} else
		printf("  %s at port %-3u %-20s heard of %u s ago\n", text, address->port, port_of(s, address->port),
		       address->age_s);
	return 0;
}

/* The addresses of the switch; of a backend that does not tell them, none. */
static int walk_addresses(struct showing *s, const char *name, struct nmx_report *why)
{
	int err;

	s->addresses = 0;
	err = nmx_switch_table(name, s->options, show_address, s, why);
	return err == NMX_ERR_FALLBACK_UNSUPPORTED ? 0 : err;
}

/* Of a backend that does not tell: zeros. */
static int inspect(const struct showing *s, const char *name, struct nmx_switch_info *info, struct nmx_report *why)
{
	int err = nmx_switch_inspect(name, s->options, info, why);

	return err == NMX_ERR_FALLBACK_UNSUPPORTED ? 0 : err;
}

static int show_as_text(struct showing *s, const char *name, size_t ports, struct nmx_report *why)
{
	struct nmx_switch_info info;
	int err = inspect(s, name, &info, why);

	s->lists = false;
	if (err == 0)
		err = walk_addresses(s, name, why);
	if (err < 0)
		return err;
	printf("%s: %zu %s, %llu %s", name, ports, ports == 1 ? "port" : "ports", (unsigned long long)s->addresses,
	       s->addresses == 1 ? "address" : "addresses");
	if (info.ageing_s)
		printf(", forgotten after %u s", info.ageing_s);
	puts(info.stays ? "; stays" : "");
	for (size_t i = s->first; i < s->first + ports; i++)
		switch_port_say(&s->ports[i]);
	s->lists = s->only != NULL;
	return s->lists ? walk_addresses(s, name, why) : 0;
}

static int show_as_json(struct showing *s, const char *name, size_t ports, struct nmx_report *why)
{
	struct nmx_switch_info info;
	int err = inspect(s, name, &info, why);

	json_object(s->json, NULL);
	json_text(s->json, "name", name);
	if (info.ageing_s)
		json_u64(s->json, "ageing_seconds", info.ageing_s);
	json_bool(s->json, "stays", info.stays);
	json_array(s->json, "ports");
	for (size_t i = s->first; i < s->first + ports; i++)
		switch_port_json(&s->ports[i], s->json);
	json_close_array(s->json);
	s->lists = true;
	json_array(s->json, "addresses");
	if (err == 0)
		err = walk_addresses(s, name, why);
	json_close_array(s->json);
	json_close_object(s->json);
	return err;
}

/* A switch may have no port: one that was made to stay. */
static int show_empty(struct showing *s, struct nmx_report *why)
{
	if (!s->only)
		return s->json ? 0 : puts("no ports in switches") < 0;
	return s->json ? show_as_json(s, s->only, 0, why) : show_as_text(s, s->only, 0, why);
}

static int show_each(struct showing *s, struct nmx_report *why)
{
	int err = s->num_ports ? 0 : show_empty(s, why);
	size_t next;

	for (s->first = 0; s->first < s->num_ports && err == 0; s->first = next) {
		char name[64];
		for (next = s->first;
		     next < s->num_ports && same_switch(s->ports[next].name, s->ports[s->first].name);)
			next++;
		snprintf(name, sizeof(name), "%.*s", (int)switch_length(s->ports[s->first].name),
		         s->ports[s->first].name);
		err = s->json ? show_as_json(s, name, next - s->first, why)
		              : show_as_text(s, name, next - s->first, why);
	}
	return err;
}

bool switch_show(const char *name, const struct nmx_switch_options *options, bool as_json)
{
	struct json json = { 0 };
	struct showing s = { .options = options, .json = as_json ? &json : NULL, .only = name };
	struct nmx_report why = { 0 };
	int err = nmx_switch_list(options, keep, &s, &why);

	if (as_json) {
		json_begin(&json, stdout);
		json_array(&json, "switches");
	}
	if (err == 0)
		err = show_each(&s, &why);
	if (as_json) {
		json_close_array(&json);
		json_bool(&json, "ok", err == 0);
		json_end(&json);
	}
	if (err < 0)
		say("switch", "%s", why.text[0] ? why.text : nmx_strerror(err));
	free(s.ports);
	return err == 0;
}
