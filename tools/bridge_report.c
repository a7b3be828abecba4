/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "bridge_report.h"

#include <stdio.h>

#include "say.h"
#include "summary.h"
#include "units.h"

const char *bridge_end_name(enum bridge_end end)
{
	static const char *const names[] = { "stopped", "ended", "failed" };

	return names[end];
}

uint64_t bridge_copied(const struct bridge *bridge)
{
	uint64_t copied = 0;

	for (uint32_t i = 0; i < bridge->num_ports; i++)
		copied += bridge->ways[i].copied;
	return copied;
}

/* " (eth0: copy, eth0^: tc)": what the kernel does with packets of interfaces; "" where there is none. */
static const char *modes(struct port *const *ports, uint32_t num_ports, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < num_ports; i++) {
		const struct port *port = ports[i];
		if (port->info.mode != NMX_MODE_NONE && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s: %s", n ? ", " : " (", port->name,
			                      nmx_mode_name(port->info.mode));
	}
	if (n && n < size)
		snprintf(text + n, size - n, ")");
	return text;
}

/* One of the two ways of a pair. */
static void say_one_way(const struct bridge_way *way)
{
	bool no_rx = way->from->num_rx == 0;

	if (no_rx || way->to->num_tx == 0)
		say(way->from->command, "nothing goes from %s to %s: %s has no %s rings", way->from->name,
		    way->to->name, no_rx ? way->from->name : way->to->name, no_rx ? "receive" : "transmit");
}

static void say_pair(const struct bridge *bridge, uint32_t first)
{
	const struct port *a = bridge->ports[first], *b = bridge->ports[first + 1];
	const struct bridge_way *way = &bridge->ways[first];
	char text[2048];

	modes(&bridge->ports[first], 2, text, sizeof(text));
	if (way->exchange)
		say(a->command, "%s <-> %s: packets pass by exchanging buffers%s", a->name, b->name, text);
	else if (way->same_region)
		say(a->command, "%s <-> %s: packets are copied, as -c asks%s", a->name, b->name, text);
	else
		say(a->command,
		    "%s <-> %s: packets are copied, for the ports have their buffers in two regions of memory%s",
		    a->name, b->name, text);
	for (uint32_t i = first; i < first + 2; i++)
		say_one_way(&bridge->ways[i]);
}

void bridge_say_begin(const struct bridge *bridge)
{
	for (uint32_t i = 0; i < bridge->num_ports; i += 2)
		say_pair(bridge, i);
}

static void say_losses(const struct bridge_way *way)
{
	char text[UNITS_TEXT];

	if (way->too_long)
		printf("dropped  %s: %s: longer than it can send\n", way->to->name,
		       units_grouped(text, way->too_long));
	if (way->left)
		printf("lost     %s packets of %s, in hand at the end: %s had no room for them\n",
		       units_grouped(text, way->left), way->from->name, way->to->name);
	if (way->not_sent)
		printf("         slots not taken by the other end of %s: %s\n", way->to->name,
		       units_grouped(text, way->not_sent));
	port_drops_say_named(way->from, stdout);
}

void bridge_say_summary(const struct bridge *bridge, double seconds)
{
	uint64_t copied = bridge_copied(bridge);
	char text[UNITS_TEXT], label[2048];

	for (uint32_t i = 0; i < bridge->num_ports; i++) {
		const struct bridge_way *way = &bridge->ways[i];
		snprintf(label, sizeof(label), "%s -> %s ", way->from->name, way->to->name);
		summary_line(stdout, label, way->packets, way->bytes, seconds);
	}
	if (copied)
		printf("copied   %s bytes\n", units_grouped(text, copied));
	else
		printf("copied   0 bytes: every packet passed by an exchange of buffers%s\n",
		       modes(bridge->ports, bridge->num_ports, label, sizeof(label)));
	for (uint32_t i = 0; i < bridge->num_ports; i++)
		say_losses(&bridge->ways[i]);
}

void bridge_json_port(struct json *json, const char *key, const struct port *port)
{
	json_object(json, key);
	json_text(json, "port", port->name);
	json_text(json, "mode", nmx_mode_name(port->info.mode));
	port_drops_json(port, json);
	json_close_object(json);
}

void bridge_json_way(struct json *json, const char *key, const struct bridge_way *way, double seconds)
{
	json_object(json, key);
	summary_json(json, way->packets, way->bytes, seconds);
	json_u64(json, "copied", way->copied);
	json_u64(json, "too_long", way->too_long);
	json_u64(json, "in_hand_at_end", way->left);
	json_u64(json, "slots_not_taken", way->not_sent);
	json_close_object(json);
}
