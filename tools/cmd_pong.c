/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <stdio.h>

#include "echo.h"
#include "say.h"
#include "summary.h"
#include "units.h"

struct pong_options {
	struct port_options port;
	bool spin, json, quiet;
};

#define AT(field) offsetof(struct pong_options, field)
/* clang-format off */
static const struct opt pong_opts[] = {
	PORT_OPERAND(struct pong_options),
	{ 0, "spin", OPT_FLAG, AT(spin), NULL, "poll for packets, do not sleep", 0, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct pong_options),
};
/* clang-format on */

static void say_summary(const struct port *port, enum receive_end end, const struct pong_report *report, bool as_json)
{
	char text[UNITS_TEXT];
	struct json json;

	if (!as_json) {
		printf("given back  %s packets\n", units_grouped(text, report->packets));
		if (report->to_groups)
			printf("            %s to groups were not\n", units_grouped(text, report->to_groups));
		port_drops_say(port, stdout);
		return;
	}
	json_begin(&json, stdout);
	json_text(&json, "port", port->name);
	json_text(&json, "end", receive_end_name(end));
	json_u64(&json, "packets", report->packets);
	json_u64(&json, "to_groups", report->to_groups);
	port_drops_json(port, &json);
	json_bool(&json, "ok", end != RECEIVE_FAILED);
	json_end(&json);
}

static int pong_command(const void *given)
{
	const struct pong_options *options = given;
	struct port port;
	struct live live;
	struct pong_report report;

	if (port_open(&port, "pong", &options->port, 0) != EXIT_OK)
		return EXIT_FAILED;
	live_start(&live, options->quiet);
	enum receive_end end = pong_run(&port, &live, options->spin, &report);
	live_end(&live);
	say_summary(&port, end, &report, options->json);
	port_close(&port);
	return summary_exit("pong", stdout, end != RECEIVE_FAILED);
}

const struct command cmd_pong = {
	.name = "pong",
	.summary = "give every packet back",
	.details =
	    "Without a copy, with the addresses exchanged, on the ring of the same number; until the other end of a pipe\n"
	    "has gone, or Ctrl-C.  On an interface, what is for a group stays.\n",
	.opts = pong_opts,
	.num_opts = sizeof(pong_opts) / sizeof(*pong_opts),
	.size = sizeof(struct pong_options),
	.defaults = &(const struct pong_options){ .spin = false },
	.run = pong_command,
};
