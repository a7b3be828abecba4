/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <stdlib.h>

#include "clock.h"
#include "frame.h"
#include "pace.h"
#include "say.h"
#include "sender.h"
#include "stop.h"
#include "summary.h"
#include "units.h"

struct gen_options {
	struct port_options port;
	uint64_t count, rate_pps, batch, flows, ring, timeout_ns;
	uint64_t src_port, dst_port;
	struct opt_range len;
	struct frame_addresses addresses;
	bool verify, json, quiet;
};

#define AT(field) offsetof(struct gen_options, field)
/* clang-format off */
static const struct opt gen_opts[] = {
	PORT_OPERAND(struct gen_options),
	{ 'n', "count", OPT_COUNT, AT(count), "COUNT", "packets in all (default: until Ctrl-C)", 1, 0 },
	{ 'l', "len", OPT_RANGE, AT(len), "LEN[-LEN]",
	  "bytes of a frame, or a range to draw from (default: 60)", FRAME_MIN, FRAME_MAX },
	{ 'r', "rate", OPT_RATE, AT(rate_pps), "PPS", "packets a second, or max (default: max)", 1, PACE_MAX_PPS },
	{ 'b', "batch", OPT_COUNT, AT(batch), "N", "packets between syncs (default: 256)", 1, 32768 },
	FRAME_OPTIONS(struct gen_options),
	{ 0, "src-port", OPT_COUNT, AT(src_port), "PORT", "UDP source port, of the first flow (default: 10000)", 1, 65535 },
	{ 0, "dst-port", OPT_COUNT, AT(dst_port), "PORT", "UDP destination port (default: 9, discard)", 1, 65535 },
	{ 0, "flows", OPT_COUNT, AT(flows), "N", "UDP source ports to go round (default: 1)", 1, 1024 },
	{ 0, "ring", OPT_COUNT, AT(ring), "N", "only this transmit ring (default: flow i on ring i modulo their number)", 0, 4095 },
	{ 0, "verify", OPT_FLAG, AT(verify), NULL, "stamp every packet, for nmx sink --verify", 0, 0 },
	{ 0, "timeout", OPT_SECONDS, AT(timeout_ns), "SECONDS",
	  "give up when nobody takes a packet for so long (default: 10)", 1, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct gen_options),
};
/* clang-format on */

struct gen {
	const struct gen_options *options;
	struct frame_template template;
	struct sender sender;
	struct pace pace;
	uint64_t random; /* state; the same lengths every time */
	struct gen_ring *rings;
};

/* Each ring has flows of its own, so that the order within a flow is that of one ring: ring r of n has r, r + n, ... */
struct gen_ring {
	uint64_t sequence;
	uint32_t flow;
};

/* A pseudo-random number below span: SplitMix64. */
static uint32_t draw(uint64_t *state, uint64_t span)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((x >> 33) * span >> 31);
}

/* Fills what the batch of the ring at hand has room for.  A ring that is full gives an empty batch. */
static bool fill(struct gen *gen, uint32_t want, uint64_t now)
{
	struct sender *sender = &gen->sender;
	struct gen_ring *ring = &gen->rings[sender->at];
	uint64_t low = gen->options->len.low, span = gen->options->len.high - low + 1;
	struct frame_stamp stamp = { .run = gen->template.run, .time_ns = now };
	struct nmx_batch batch;
	int got = nmx_tx_reserve(sender->tx, want, &batch);

	if (got < 0) {
		sender->err = got;
		return false;
	}
	for (int i = 0; i < got; i++) {
		uint32_t len = (uint32_t)low + (span > 1 ? draw(&gen->random, span) : 0);
		uint8_t *data = nmx_batch_packet(&batch, len);
		if (!data)
			break;
		stamp.flow = ring->flow;
		stamp.sequence = ring->sequence;
		frame_build(&gen->template, data, len, &stamp);
		ring->flow += sender->num_rings;
		if (ring->flow >= gen->options->flows) {
			ring->flow = sender->at;
			ring->sequence++;
		}
		sender->packets++;
		sender->bytes += len;
	}
	nmx_batch_commit(&batch);
	pace_sent(&gen->pace, (uint64_t)got);
	return true;
}

static uint32_t smaller(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static void generate(struct gen *gen)
{
	const struct gen_options *options = gen->options;
	uint32_t room = smaller(options->batch, gen->sender.port->info.tx_slots / 2);

	while (gen->sender.packets < options->count && !stop_asked()) {
		uint64_t now = clock_ns(), left = options->count - gen->sender.packets;
		uint32_t due = smaller(pace_due(&gen->pace, smaller(options->batch, left), now), UINT32_MAX);
		live_tick(gen->sender.live, now, gen->sender.packets, gen->sender.bytes);
		if (due == 0) {
			pace_idle(&gen->pace, now);
			continue;
		}
		uint32_t part = (due + gen->sender.num_rings - 1) / gen->sender.num_rings; /* so that all flows go on */
		if (!fill(gen, part, now) || !sender_sync(&gen->sender))
			return;
		if (!sender_next(&gen->sender, room))
			return;
	}
}

static void say_summary(const struct gen *gen, double seconds, uint64_t not_taken)
{
	const struct sender *s = &gen->sender;

	summary_line(stdout, "sent", s->packets, s->bytes, seconds);
	if (not_taken)
		printf("         slots not taken by the other end: %llu\n", (unsigned long long)not_taken);
	port_drops_say(s->port, stdout);
}

static void json_summary(const struct gen *gen, struct json *json, double seconds, uint64_t not_taken, bool ok)
{
	const struct sender *s = &gen->sender;

	json_text(json, "port", s->port->name);
	summary_json(json, s->packets, s->bytes, seconds);
	json_u64(json, "slots_not_taken", not_taken);
	port_drops_json(s->port, json);
	json_bool(json, "ok", ok);
}

/* Which rings, and which flow each begins with. */
static int begin_rings(struct gen *gen)
{
	uint32_t first = smaller(gen->options->ring, UINT32_MAX), num = 1;

	if (gen->options->ring == UINT64_MAX) {
		first = 0;
		num = smaller(gen->options->flows, port_spread(gen->sender.port));
	}
	sender_use(&gen->sender, first, num);
	gen->rings = calloc(num, sizeof(*gen->rings));
	if (!gen->rings)
		return say("gen", "out of memory");
	for (uint32_t i = 0; i < num; i++)
		gen->rings[i].flow = i;
	return EXIT_OK;
}

static int run_on(struct port *port, const struct gen_options *options)
{
	struct gen gen = { .options = options };
	struct frame_addresses addresses = options->addresses;
	struct live live;

	live_start(&live, options->quiet);
	sender_start(&gen.sender, port, &live, options->timeout_ns);
	if (begin_rings(&gen) != EXIT_OK)
		return EXIT_FAILED;
	uint64_t begin = clock_ns();
	addresses.src_port = (uint16_t)options->src_port;
	addresses.dst_port = (uint16_t)options->dst_port;
	frame_template(&gen.template, &addresses, options->verify, frame_run_id());
	pace_start(&gen.pace, options->rate_pps == OPT_RATE_MAX ? 0 : options->rate_pps, begin);
	generate(&gen);
	double seconds = (double)(clock_ns() - begin) / (double)CLOCK_S;
	uint64_t not_taken = sender_finish(&gen.sender);
	live_end(&live);
	free(gen.rings);

	/* Without -n, only Ctrl-C is an end that was asked for. */
	bool short_of = options->count != UINT64_MAX ? gen.sender.packets < options->count : !stop_asked();
	if (short_of && !not_taken && gen.sender.peer_gone)
		say("gen", "the other end has gone");
	bool ok = !short_of && !not_taken && gen.sender.err == 0 && port_not_sent(port) == 0;
	if (!options->json) {
		say_summary(&gen, seconds, not_taken);
		return summary_exit("gen", stdout, ok);
	}
	struct json json;
	json_begin(&json, stdout);
	json_summary(&gen, &json, seconds, not_taken, ok);
	json_end(&json);
	return summary_exit("gen", stdout, ok);
}

static int gen_run(const void *given)
{
	const struct gen_options *options = given;
	struct port port;
	int code;

	if (options->verify && (options->src_port || options->dst_port)) {
		say("gen", "--verify: stamped packets have ports of their own; leave --src-port and --dst-port out");
		return EXIT_USAGE;
	}
	if (port_open(&port, "gen", &options->port, NMX_TX_ONLY) != EXIT_OK)
		return EXIT_FAILED;
	if (options->len.high > port.info.max_len)
		code = say("gen", "-l %llu: a slot of %s carries at most %u bytes", (unsigned long long)options->len.high,
			   port.name, port.info.max_len);
	else if (options->ring != UINT64_MAX && options->ring >= port.num_tx)
		code = say("gen", "--ring %llu: %s has %u transmit rings, numbered from 0", (unsigned long long)options->ring,
			   port.name, port.num_tx);
	else
		code = run_on(&port, options);
	port_close(&port);
	return code;
}

const struct command cmd_gen = {
	.name = "gen",
	.summary = "send UDP packets",
	.details = "A pipe keeps what nobody has taken yet: start nmx sink before or after.\n"
		   "A port with several transmit rings (an interface has one for each queue) is sent on by all that have a\n"
		   "flow: a flow keeps to one ring, and its order.  With one flow that is ring 0: see --flows.\n",
	.opts = gen_opts,
	.num_opts = sizeof(gen_opts) / sizeof(*gen_opts),
	.size = sizeof(struct gen_options),
	.defaults = &(const struct gen_options){ .count = UINT64_MAX,
						 .rate_pps = OPT_RATE_MAX,
						 .batch = 256,
						 .flows = 1,
						 .ring = UINT64_MAX,
						 .timeout_ns = 10 * CLOCK_S,
						 .len = { FRAME_MIN, FRAME_MIN },
						 .addresses = FRAME_ADDRESSES },
	.run = gen_run,
};
