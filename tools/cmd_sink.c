/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include "receiver.h"
#include "say.h"
#include "summary.h"
#include "units.h"
#include "verify.h"

struct sink_options {
	struct port_options port;
	uint64_t count, timeout_ns;
	bool verify, promisc, json, quiet;
};

#define AT(field) offsetof(struct sink_options, field)
/* clang-format off */
static const struct opt sink_opts[] = {
	PORT_OPERAND(struct sink_options),
	{ 'n', "count", OPT_COUNT, AT(count), "COUNT", "end after so many packets; fewer are a failure", 1, 0 },
	{ 0, "verify", OPT_FLAG, AT(verify), NULL, "check every byte of what nmx gen --verify sends", 0, 0 },
	{ 0, "promisc", OPT_FLAG, AT(promisc), NULL, "of an interface, also what is for other addresses", 0, 0 },
	{ 0, "timeout", OPT_SECONDS, AT(timeout_ns), "SECONDS", "end when no packet comes for so long", 1, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct sink_options),
};
/* clang-format on */

struct sink {
	struct receiver receiver; /* first, so that take() finds the rest */
	const struct sink_options *options;
	struct verify *verify; /* NULL: only count */
};

/* Looks at lengths only. */
static bool count_packets(struct receiver *receiver, struct nmx_rx *rx, uint64_t now)
{
	uint64_t left = ((struct sink *)receiver)->options->count - receiver->packets, packets = 0, bytes = 0;

	(void)now;
	nmx_rx_for_each (rx, frame) {
		if (packets == left)
			break;
		bytes += frame.len;
		packets += !(frame.flags & NMX_MORE);
	}
	receiver->packets += packets;
	receiver->bytes += bytes;
	return packets == left;
}

static bool verify_packets(struct receiver *receiver, struct nmx_rx *rx, uint64_t now)
{
	struct sink *sink = (struct sink *)receiver;

	nmx_rx_for_each (rx, frame) {
		if (receiver->packets == sink->options->count)
			break;
		verify_packet_on(sink->verify, receiver->ring, frame.data, frame.len, now);
		receiver->packets++;
		receiver->bytes += frame.len;
	}
	receiver->live->bad = verify_bad(sink->verify);
	return receiver->packets == sink->options->count;
}

static void say_short(const struct sink *sink, enum receive_end end)
{
	static const char *const why[] = {
		[RECEIVE_STOPPED] = "stopped",
		[RECEIVE_PEER_GONE] = "the other end has gone",
		[RECEIVE_TIMED_OUT] = "time is up",
	};
	char got[UNITS_TEXT], asked[UNITS_TEXT];

	if (end != RECEIVE_FAILED)
		say("sink", "%s after %s of %s packets", why[end], units_grouped(got, sink->receiver.packets),
		    units_grouped(asked, sink->options->count));
}

static void say_summary(const struct sink *sink)
{
	const struct receiver *r = &sink->receiver;

	summary_line(stdout, "received", r->packets, r->bytes, receive_seconds(r));
	if (sink->verify) {
		fputs("checked  ", stdout);
		verify_say(sink->verify, stdout);
	}
	port_drops_say(r->port, stdout);
}

static void json_summary(const struct sink *sink, enum receive_end end, bool ok)
{
	const struct receiver *r = &sink->receiver;
	struct json json;

	json_begin(&json, stdout);
	json_text(&json, "port", r->port->name);
	json_text(&json, "end", receive_end_name(end));
	summary_json(&json, r->packets, r->bytes, receive_seconds(r));
	if (sink->verify) {
		json_object(&json, "verify");
		verify_json(sink->verify, &json);
		json_close_object(&json);
	}
	port_drops_json(r->port, &json);
	json_bool(&json, "ok", ok);
	json_end(&json);
}

static int run_on(struct port *port, const struct sink_options *options, struct verify *verify)
{
	struct live live;
	struct sink sink = {
		.receiver = { .port = port,
			      .live = &live,
			      .timeout_ns = options->timeout_ns,
			      .take = verify ? verify_packets : count_packets },
		.options = options,
		.verify = verify,
	};

	live_start(&live, options->quiet);
	enum receive_end end = receive(&sink.receiver);
	live_end(&live);
	bool short_of = options->count != UINT64_MAX && sink.receiver.packets < options->count;
	bool unchecked = verify && verify->intact + verify->corrupt == 0;
	bool nothing = end == RECEIVE_TIMED_OUT && sink.receiver.packets == 0;
	bool ok = !short_of && !nothing && end != RECEIVE_FAILED && !unchecked && (!verify || verify_bad(verify) == 0);
	if (unchecked)
		say("sink", "nothing to check: no stamped packet came");
	if (short_of)
		say_short(&sink, end);
	else if (nothing && !unchecked)
		say("sink", "time is up: no packet came");
	if (options->json)
		json_summary(&sink, end, ok);
	else
		say_summary(&sink);
	return summary_exit("sink", stdout, ok);
}

static int sink_run(const void *given)
{
	const struct sink_options *options = given;
	struct verify *verify = NULL;
	struct port port;

	/* Stamped packets fit a slot, and are checked where they lie: a chain cannot be one of them. */
	uint32_t flags = (options->verify ? 0 : NMX_CHAINS) | (options->promisc ? NMX_PROMISC : 0);
	if (port_open(&port, "sink", &options->port, NMX_RX_ONLY | flags) != EXIT_OK)
		return EXIT_FAILED;
	if (options->verify)
		verify = verify_new();
	int code = options->verify && !verify ? say("sink", "out of memory") : run_on(&port, options, verify);
	verify_free(verify);
	port_close(&port);
	return code;
}

const struct command cmd_sink = {
	.name = "sink",
	.summary = "receive packets, count or check them",
	.details = "Ends after COUNT packets, when the other end of a pipe has gone, when time is up, or on Ctrl-C.\n"
		   "With --verify, a packet lost, doubled, out of order or damaged is a failure; latency needs\n"
		   "sender and receiver on one machine.  The order is that of each flow; where a flow comes on several rings,\n"
		   "that of each ring: which of two rings came first cannot be known.\n",
	.opts = sink_opts,
	.num_opts = sizeof(sink_opts) / sizeof(*sink_opts),
	.size = sizeof(struct sink_options),
	.defaults = &(const struct sink_options){ .count = UINT64_MAX },
	.run = sink_run,
};
