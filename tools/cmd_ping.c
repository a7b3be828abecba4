/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include "clock.h"
#include "echo.h"
#include "say.h"
#include "stop.h"
#include "summary.h"
#include "units.h"

struct ping_options {
	struct port_options port;
	uint64_t count, len, interval_ns, timeout_ns;
	struct frame_addresses addresses;
	bool spin, json, quiet;
};

#define AT(field) offsetof(struct ping_options, field)
/* clang-format off */
static const struct opt ping_opts[] = {
	PORT_OPERAND(struct ping_options),
	{ 'n', "count", OPT_COUNT, AT(count), "COUNT", "round trips (default: 10000)", 1, 0 },
	{ 'l', "len", OPT_COUNT, AT(len), "LEN", "bytes of a frame (default: 60)", FRAME_MIN, FRAME_MAX },
	{ 'i', "interval", OPT_SECONDS, AT(interval_ns), "SECONDS",
	  "from one packet to the next (default: at once)", 1, 0 },
	FRAME_OPTIONS(struct ping_options),
	{ 0, "spin", OPT_FLAG, AT(spin), NULL, "poll for the answer, do not sleep", 0, 0 },
	{ 0, "timeout", OPT_SECONDS, AT(timeout_ns), "SECONDS",
	  "an answer later than that is lost (default: 1)", 1, 3600 * CLOCK_S },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct ping_options),
};
/* clang-format on */

static void say_trouble(const struct ping *ping)
{
	const char *port = ping->port->name;

	if (ping->err < 0)
		port_say_error(ping->port, ping->err);
	else if (ping->peer_gone)
		say("ping", "the other end has gone");
	else if (ping->lost_in_a_row >= PING_GIVE_UP)
		say("ping", "%u packets in a row were not answered: is nmx pong running at the other end of %s?",
		    ping->lost_in_a_row, port);
}

static void say_summary(const struct ping *ping)
{
	char sent[UNITS_TEXT], lost[UNITS_TEXT], text[UNITS_TEXT];

	printf("sent     %s packets of %u bytes, lost %s", units_grouped(sent, ping->sent), (unsigned)ping->len,
	       units_grouped(lost, ping->lost));
	if (ping->late)
		printf(", late or doubled %s", units_grouped(text, ping->late));
	if (ping->corrupt)
		printf(", corrupt %s", units_grouped(text, ping->corrupt));
	putchar('\n');
	if (ping->rtt.count) {
		fputs("round trip  ", stdout);
		hist_line(&ping->rtt, stdout);
		hist_chart(&ping->rtt, stdout);
	}
	port_drops_say(ping->port, stdout);
}

static void json_summary(const struct ping *ping, bool ok)
{
	struct json json;

	json_begin(&json, stdout);
	json_text(&json, "port", ping->port->name);
	json_u64(&json, "len", ping->len);
	json_bool(&json, "spin", ping->spin);
	json_u64(&json, "sent", ping->sent);
	json_u64(&json, "answered", ping->answered);
	json_u64(&json, "lost", ping->lost);
	json_u64(&json, "late", ping->late);
	json_u64(&json, "corrupt", ping->corrupt);
	hist_json(&ping->rtt, &json, "round_trip_ns");
	port_drops_json(ping->port, &json);
	json_bool(&json, "ok", ok);
	json_end(&json);
}

static int run_on(struct port *port, const struct ping_options *options)
{
	static struct ping ping; /* the histogram is too large for a stack */
	struct live live;

	ping = (struct ping){ .port = port,
			      .live = &live,
			      .count = options->count,
			      .len = options->len,
			      .interval_ns = options->interval_ns,
			      .timeout_ns = options->timeout_ns,
			      .spin = options->spin };
	live_start(&live, options->quiet);
	frame_template(&ping.template, &options->addresses, true, frame_run_id());
	ping_run(&ping);
	live_end(&live);
	bool ok = ping.err == 0 && ping.lost == 0 && ping.corrupt == 0 && (ping.sent == ping.count || stop_asked());
	say_trouble(&ping);
	if (options->json)
		json_summary(&ping, ok);
	else
		say_summary(&ping);
	return summary_exit("ping", stdout, ok);
}

static int ping_command(const void *given)
{
	const struct ping_options *options = given;
	struct port port;

	if (port_open(&port, "ping", &options->port, 0) != EXIT_OK)
		return EXIT_FAILED;
	int code = options->len <= port.info.max_len ? run_on(&port, options)
						     : say("ping", "-l %u: a slot of %s carries at most %u bytes",
							   (unsigned)options->len, port.name, port.info.max_len);
	port_close(&port);
	return code;
}

const struct command cmd_ping = {
	.name = "ping",
	.summary = "measure round trips to nmx pong",
	.details = "An ordinary UDP echo at port 28269 will do as well, at the end of a network: give it the addresses.\n",
	.opts = ping_opts,
	.num_opts = sizeof(ping_opts) / sizeof(*ping_opts),
	.size = sizeof(struct ping_options),
	.defaults = &(const struct ping_options){ .count = 10000, .len = FRAME_MIN, .timeout_ns = CLOCK_S, .addresses = FRAME_ADDRESSES },
	.run = ping_command,
};
