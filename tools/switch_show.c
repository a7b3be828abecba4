/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "switch_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#include "say.h"
#include "units.h"

/* ---- a switch, alone */

static void info_json(const char *name, const struct nmx_switch_info *info, struct json *json)
{
	json_text(json, "name", name);
	json_text(json, "backend", nmx_backend_name((enum nmx_backend)info->backend));
	json_u64(json, "switch", info->switch_index);
	if (info->ageing_s)
		json_u64(json, "ageing_seconds", info->ageing_s);
	json_bool(json, "stays", info->stays);
}

void switch_json(const char *name, const struct nmx_switch_info *info, struct json *json)
{
	json_object(json, NULL);
	info_json(name, info, json);
	json_u64(json, "num_ports", info->ports);
	json_close_object(json);
}

void switch_say_empty(const char *name, const struct nmx_switch_info *info)
{
	printf("%-7s switch %-3u no ports %-20s%s\n", nmx_backend_name((enum nmx_backend)info->backend), info->switch_index, name,
	       info->stays ? "  stays" : "");
}

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

/* Those that are to be shown, and the ports of all. */
struct showing {
	const struct nmx_switch_options *options;
	struct json *json; /* NULL: text */
	const char *only;  /* NULL: all */
	struct nmx_switch_port *ports;
	size_t num_ports, space;
	unsigned shown;
	uint64_t addresses;
	bool lists;     /* addresses are shown, not only counted */
	uint32_t index; /* of the switch at hand */
	struct nmx_report *why;
};

static int keep(const struct nmx_switch_port *port, void *arg)
{
	struct showing *s = arg;

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
	for (size_t i = 0; i < s->num_ports; i++)
		if (s->ports[i].switch_index == s->index && s->ports[i].index == index)
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
static int walk_addresses(struct showing *s, const char *name)
{
	int err;

	s->addresses = 0;
	err = nmx_switch_table(name, s->options, show_address, s, s->why);
	return err == NMX_ERR_FALLBACK_UNSUPPORTED ? 0 : err;
}

static int show_as_text(struct showing *s, const char *name, const struct nmx_switch_info *info)
{
	int err;

	s->lists = false;
	err = walk_addresses(s, name);
	if (err < 0)
		return err;
	s->shown++;
	printf("%s: %u %s, %llu %s", name, info->ports, info->ports == 1 ? "port" : "ports", (unsigned long long)s->addresses,
	       s->addresses == 1 ? "address" : "addresses");
	if (info->ageing_s)
		printf(", forgotten after %u s", info->ageing_s);
	puts(info->stays ? "; stays" : "");
	for (size_t i = 0; i < s->num_ports; i++)
		if (s->ports[i].switch_index == s->index)
			switch_port_say(&s->ports[i]);
	s->lists = s->only != NULL;
	return s->lists ? walk_addresses(s, name) : 0;
}

static int show_as_json(struct showing *s, const char *name, const struct nmx_switch_info *info)
{
	int err;

	s->shown++;
	json_object(s->json, NULL);
	info_json(name, info, s->json);
	json_array(s->json, "ports");
	for (size_t i = 0; i < s->num_ports; i++)
		if (s->ports[i].switch_index == s->index)
			switch_port_json(&s->ports[i], s->json);
	json_close_array(s->json);
	s->lists = true;
	json_array(s->json, "addresses");
	err = walk_addresses(s, name);
	json_close_array(s->json);
	json_close_object(s->json);
	return err;
}

static int show_one(const char *name, const struct nmx_switch_info *info, void *arg)
{
	struct showing *s = arg;
	int err;

	if (s->only && strcmp(name, s->only) != 0)
		return 0;
	s->index = info->switch_index;
	err = s->json ? show_as_json(s, name, info) : show_as_text(s, name, info);
	return err == NMX_ERR_NO_SUCH ? 0 : err; /* it has gone meanwhile */
}

/* error: the reason why not, "" when all went well. */
static void show(struct showing *s, char *error, size_t size)
{
	int err = nmx_switch_list(s->options, keep, s, s->why);

	if (err == 0)
		err = nmx_switch_each(s->options, show_one, s, s->why);
	error[0] = '\0';
	if (err < 0)
		snprintf(error, size, "%s", s->why->text[0] ? s->why->text : nmx_strerror(err));
	else if (s->only && s->shown == 0)
		snprintf(error, size, "there is no switch \"%.80s\"; nmx switch list has those that are there", s->only);
}

bool switch_show(const char *name, const struct nmx_switch_options *options, bool as_json)
{
	struct nmx_report why = { 0 };
	struct json json = { 0 };
	struct showing s = { .options = options, .json = as_json ? &json : NULL, .only = name, .why = &why };
	char error[sizeof(why.text)];

	if (as_json) {
		json_begin(&json, stdout);
		json_array(&json, "switches");
	}
	show(&s, error, sizeof(error));
	if (as_json) {
		json_close_array(&json);
		json_text(&json, "error", error);
		json_bool(&json, "ok", !*error);
		json_end(&json);
	} else if (!*error && s.shown == 0)
		puts("no switches");
	if (*error)
		say("switch", "%s", error);
	free(s.ports);
	return !*error;
}
