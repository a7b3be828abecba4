/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "clock.h"
#include "say.h"
#include "summary.h"
#include "units.h"

struct bridge_options {
	struct port_options port;
	const char *other;
	uint64_t burst, wait_ns;
	bool copy, json, quiet;
};

#define AT(field) offsetof(struct bridge_options, field)
/* clang-format off */
static const struct opt bridge_opts[] = {
	{ 0, NULL, OPT_TEXT, AT(port.name), "A", "a port: eth0, x{1, vale0:a, ...", 0, 0 },
	{ 0, NULL, OPT_TEXT, AT(other), "[B]", "the other; without it, A is an interface, and its host rings are the other", 0, 0 },
	{ 'b', "burst", OPT_COUNT, AT(burst), "N", "packets of a ring before the next has its turn (default: 1024)", 1, 32768 },
	{ 'c', "copy", OPT_FLAG, AT(copy), NULL, "copy packets, even where buffers could be exchanged", 0, 0 },
	{ 'w', "wait", OPT_SECONDS, AT(wait_ns), "SECONDS", "wait so long for the links to be up (default: 4)",
	  0, 3600 * CLOCK_S },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct bridge_options),
};
/* clang-format on */

static const char *end_name(enum bridge_end end)
{
	static const char *const names[] = { "stopped", "ended", "failed" };

	return names[end];
}

/* ---- what it says */

/* " (eth0: copy, eth0^: tc)": what the kernel does with packets of interfaces; "" where there is none. */
static const char *modes(const struct bridge *bridge, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < 2; i++) {
		const struct port *port = bridge->ports[i];
		if (port->info.mode != NMX_MODE_NONE && n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s: %s", n ? ", " : " (", port->name,
			                      nmx_mode_name(port->info.mode));
	}
	if (n && n < size)
		snprintf(text + n, size - n, ")");
	return text;
}

static void say_begin(const struct bridge *bridge)
{
	const struct port *a = bridge->ports[0], *b = bridge->ports[1];
	const struct bridge_way *way = &bridge->ways[0];
	char text[2048];

	modes(bridge, text, sizeof(text));
	if (way->exchange)
		say("bridge", "%s <-> %s: packets pass by exchanging buffers%s", a->name, b->name, text);
	else if (way->same_region)
		say("bridge", "%s <-> %s: packets are copied, as -c asks%s", a->name, b->name, text);
	else
		say("bridge",
		    "%s <-> %s: packets are copied, for the ports have their buffers in two regions of memory%s",
		    a->name, b->name, text);
	for (int i = 0; i < 2; i++) {
		const struct bridge_way *one = &bridge->ways[i];
		bool no_rx = one->from->num_rx == 0;
		if (no_rx || one->to->num_tx == 0)
			say("bridge", "nothing goes from %s to %s: %s has no %s rings", one->from->name,
			    one->to->name, no_rx ? one->from->name : one->to->name, no_rx ? "receive" : "transmit");
	}
}

static void say_summary(const struct bridge *bridge, double seconds)
{
	uint64_t copied = bridge->ways[0].copied + bridge->ways[1].copied;
	char text[UNITS_TEXT], label[2048];

	for (int i = 0; i < 2; i++) {
		const struct bridge_way *way = &bridge->ways[i];
		snprintf(label, sizeof(label), "%s -> %s ", way->from->name, way->to->name);
		summary_line(stdout, label, way->packets, way->bytes, seconds);
	}
	if (copied)
		printf("copied   %s bytes\n", units_grouped(text, copied));
	else
		printf("copied   0 bytes: every packet passed by an exchange of buffers%s\n",
		       modes(bridge, label, sizeof(label)));
	for (int i = 0; i < 2; i++) {
		const struct bridge_way *way = &bridge->ways[i];
		if (way->too_long)
			printf("dropped  %s: %s: longer than it can send\n", way->to->name,
			       units_grouped(text, way->too_long));
		if (way->left)
			printf("lost     %s packets of %s, in hand when the bridge ended: %s had no room for them\n",
			       units_grouped(text, way->left), way->from->name, way->to->name);
		if (way->not_sent)
			printf("         slots not taken by the other end of %s: %s\n", way->to->name,
			       units_grouped(text, way->not_sent));
		port_drops_say_named(bridge->ports[i], stdout);
	}
}

static void json_port(struct json *json, const char *key, const struct port *port)
{
	json_object(json, key);
	json_text(json, "port", port->name);
	json_text(json, "mode", nmx_mode_name(port->info.mode));
	port_drops_json(port, json);
	json_close_object(json);
}

static void json_way(struct json *json, const char *key, const struct bridge_way *way, double seconds)
{
	json_object(json, key);
	summary_json(json, way->packets, way->bytes, seconds);
	json_u64(json, "copied", way->copied);
	json_u64(json, "too_long", way->too_long);
	json_u64(json, "in_hand_at_end", way->left);
	json_u64(json, "slots_not_taken", way->not_sent);
	json_close_object(json);
}

static void json_summary(const struct bridge *bridge, enum bridge_end end, double seconds, bool ok)
{
	struct json json;

	json_begin(&json, stdout);
	json_port(&json, "a", bridge->ports[0]);
	json_port(&json, "b", bridge->ports[1]);
	json_bool(&json, "exchange", bridge->ways[0].exchange);
	json_text(&json, "end", end_name(end));
	json_way(&json, "a_to_b", &bridge->ways[0], seconds);
	json_way(&json, "b_to_a", &bridge->ways[1], seconds);
	json_u64(&json, "bytes_copied", bridge->ways[0].copied + bridge->ways[1].copied);
	json_bool(&json, "ok", ok);
	json_end(&json);
}

/* ---- */

static int run_on(struct port *a, struct port *b, const struct bridge_options *options)
{
	struct bridge bridge;
	struct live live;

	if (bridge_start(&bridge, a, b, (uint32_t)options->burst, options->copy) != EXIT_OK)
		return EXIT_FAILED;
	say_begin(&bridge);
	if (strcmp(a->link.name, b->link.name) == 0) /* the interface and its host: one is enough to tell of the link */
		link_start(&b->link, "bridge", "");
	link_await((struct link *[]){ &a->link, &b->link }, 2, options->wait_ns);
	live_start(&live, options->quiet);
	uint64_t begin = clock_ns();
	enum bridge_end end = bridge_run(&bridge, &live);
	double seconds = (double)(clock_ns() - begin) / (double)CLOCK_S;
	live_end(&live);
	bool ok = end != BRIDGE_FAILED;
	for (int i = 0; i < 2; i++)
		ok &= bridge.ways[i].left == 0 && bridge.ways[i].not_sent == 0;
	if (options->json)
		json_summary(&bridge, end, seconds, ok);
	else
		say_summary(&bridge, seconds);
	bridge_free(&bridge);
	return summary_exit("bridge", stdout, ok);
}

/* "eth0^@conf:..." for "eth0@conf:...".  False: it does not fit, or names rings already. */
static bool host_name(const char *name, char *host, size_t size)
{
	size_t rings = strcspn(name, "/@^*");

	if (name[rings] == '^' || name[rings] == '*')
		return false;
	return (size_t)snprintf(host, size, "%.*s^%s", (int)rings, name, name + rings) < size;
}

/* For a way to everybody, an interface has to take what is for others.  The host beside its own interface needs what
 * it would get anyway. */
static int bridge_command(const void *given)
{
	const struct bridge_options *options = given;
	struct port_options other = options->port;
	uint32_t flags = NMX_CHAINS | (options->other ? NMX_PROMISC : 0);
	char host[1200];
	struct port a, b;

	if (port_open_any(&a, "bridge", &options->port, flags) != EXIT_OK)
		return EXIT_FAILED;
	other.name = options->other ? options->other : host;
	int code = EXIT_FAILED;
	if (!options->other && (!a.link.name[0] || !host_name(options->port.name, host, sizeof(host))))
		say("bridge",
		    "%s alone: only an interface, as eth0, can be bridged with its host rings; name a second port",
		    options->port.name);
	else if (port_open_any(&b, "bridge", &other, flags) == EXIT_OK) {
		code = run_on(&a, &b, options);
		port_close(&b);
	}
	port_close(&a);
	return code;
}

const struct command cmd_bridge = {
	.name = "bridge",
	.summary = "forward between two ports, both ways",
	.details =
	    "Every packet is handed on, or stays with its sender: a full port holds up who sends to it.  Packets "
	    "pass\n"
	    "by exchanging buffers where both ports are of one region of memory, and are copied where they are not.\n"
	    "Receive ring i goes to transmit ring i of the other port, modulo their number.\n"
	    "    nmx bridge eth0         the interface and its host: the host stays on the net, through the bridge\n"
	    "    nmx bridge eth0 eth1    as a cable; both receive what is for other addresses too\n"
	    "The other end of a pipe may go and come; an interface that vanishes ends the bridge.  Exit status 1: "
	    "that,\n"
	    "or packets were left that nobody took.\n",
	.opts = bridge_opts,
	.num_opts = sizeof(bridge_opts) / sizeof(*bridge_opts),
	.size = sizeof(struct bridge_options),
	.defaults = &(const struct bridge_options){ .burst = 1024, .wait_ns = 4 * CLOCK_S },
	.run = bridge_command,
};
