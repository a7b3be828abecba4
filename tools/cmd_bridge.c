/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "bridge_report.h"
#include "clock.h"
#include "say.h"
#include "summary.h"

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

/* ---- what it says */

static void json_summary(const struct bridge *bridge, enum bridge_end end, double seconds, bool ok)
{
	struct json json;

	json_begin(&json, stdout);
	bridge_json_port(&json, "a", bridge->ports[0]);
	bridge_json_port(&json, "b", bridge->ports[1]);
	json_bool(&json, "exchange", bridge->ways[0].exchange);
	json_text(&json, "end", bridge_end_name(end));
	bridge_json_way(&json, "a_to_b", &bridge->ways[0], seconds);
	bridge_json_way(&json, "b_to_a", &bridge->ways[1], seconds);
	json_u64(&json, "bytes_copied", bridge_copied(bridge));
	json_bool(&json, "ok", ok);
	json_end(&json);
}

/* ---- */

static int run_on(struct port *a, struct port *b, const struct bridge_options *options)
{
	struct bridge bridge;
	struct live live;

	if (bridge_start(&bridge, (struct port *[]){ a, b }, 2, (uint32_t)options->burst, options->copy) != EXIT_OK)
		return EXIT_FAILED;
	bridge_say_begin(&bridge);
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
		bridge_say_summary(&bridge, seconds);
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
