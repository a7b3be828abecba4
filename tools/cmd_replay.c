/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <pcap/pcap.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "pace.h"
#include "say.h"
#include "sender.h"
#include "stop.h"
#include "summary.h"
#include "units.h"

struct replay_options {
	struct port_options port;
	const char *file;
	uint64_t rate_pps, loops, ring, timeout_ns;
	bool any_link, json, quiet;
};

#define AT(field) offsetof(struct replay_options, field)
/* clang-format off */
static const struct opt replay_opts[] = {
	{ 0, NULL, OPT_TEXT, AT(file), "FILE", "a capture, pcap or pcapng; - is standard input", 0, 0 },
	PORT_OPERAND(struct replay_options),
	{ 'r', "rate", OPT_PACE, AT(rate_pps), "RATE",
	  "real (as captured), packets a second, or max (default: real)", 1, PACE_MAX_PPS },
	{ 0, "loop", OPT_COUNT, AT(loops), "N", "times in all (default: 1)", 1, 0 },
	{ 0, "ring", OPT_COUNT, AT(ring), "N", "the transmit ring, one for all: the order stays (default: 0)", 0, 4095 },
	{ 0, "any-link", OPT_FLAG, AT(any_link), NULL, "send what is not Ethernet all the same", 0, 0 },
	{ 0, "timeout", OPT_SECONDS, AT(timeout_ns), "SECONDS",
	  "give up when nobody takes a packet for so long (default: 10)", 1, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct replay_options),
};
/* clang-format on */

#define SYNC_EVERY 256

struct replay {
	const struct replay_options *options;
	struct sender sender;
	struct live live;
	struct pace pace;
	pcap_t *capture;
	double file_bytes;    /* of one turn; 0: not known */
	uint64_t loop;        /* turns that are done */
	bool started;         /* this turn has sent a packet */
	struct timeval first; /* its stamp, and when it went */
	uint64_t begin_ns;
	uint32_t not_synced;
	uint64_t truncated, empty, too_long;
	bool bad_file;
};

static bool is_stdin(const struct replay *replay)
{
	return strcmp(replay->options->file, "-") == 0;
}

static int refuse(const struct replay *replay, const char *text)
{
	/* Most of libpcap's sentences begin with the file's name, not all. */
	if (strncmp(text, replay->options->file, strlen(replay->options->file)) == 0)
		return say("replay", "%s", text);
	return say("replay", "%s: %s", replay->options->file, text);
}

static int open_capture(struct replay *replay)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	struct stat st;

	replay->started = false;
	replay->capture =
	    pcap_open_offline_with_tstamp_precision(replay->options->file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!replay->capture)
		return refuse(replay, error);
	if (fstat(fileno(pcap_file(replay->capture)), &st) == 0 && S_ISREG(st.st_mode))
		replay->file_bytes = (double)st.st_size;
	int link = pcap_datalink(replay->capture);
	if (link == DLT_EN10MB || replay->options->any_link)
		return EXIT_OK;
	const char *name = pcap_datalink_val_to_name(link);
	say("replay", "%s: link type %s (%d), not Ethernet; --any-link sends it all the same", replay->options->file,
	    name ? name : "unknown", link);
	pcap_close(replay->capture);
	return EXIT_FAILED;
}

static void tick(struct replay *replay, uint64_t now)
{
	if (now >= replay->live.next_ns && replay->file_bytes > 0) {
		double done = (double)ftello(pcap_file(replay->capture)) / replay->file_bytes;
		replay->live.percent = 100 * ((double)replay->loop + done) / (double)replay->options->loops;
	}
	live_tick(&replay->live, now, replay->sender.packets, replay->sender.bytes);
}

static bool flush(struct replay *replay)
{
	replay->not_synced = 0;
	return sender_sync(&replay->sender);
}

/* ts.tv_usec holds nanoseconds: so the capture was opened.  A stamp before the first one is due at once. */
static uint64_t due_as_captured(const struct replay *replay, const struct timeval *ts)
{
	int64_t gap = (int64_t)(ts->tv_sec - replay->first.tv_sec) * (int64_t)CLOCK_S +
		      (ts->tv_usec - replay->first.tv_usec);

	return gap > 0 ? replay->begin_ns + (uint64_t)gap : replay->begin_ns;
}

static bool is_due(struct replay *replay, const struct timeval *ts, uint64_t now)
{
	if (replay->options->rate_pps == OPT_RATE_REAL)
		return now >= due_as_captured(replay, ts);
	return pace_due(&replay->pace, 1, now) > 0;
}

/* Waits for the packet's turn.  False: the command should end. */
static bool await_turn(struct replay *replay, const struct timeval *ts)
{
	uint64_t now = clock_ns();

	if (!replay->started) {
		replay->started = true;
		replay->first = *ts;
		replay->begin_ns = now;
	}
	for (; !stop_asked(); now = clock_ns()) {
		if (is_due(replay, ts, now))
			return true;
		if (replay->not_synced && !flush(replay))
			return false;
		tick(replay, now);
		if (replay->options->rate_pps == OPT_RATE_REAL)
			pace_idle_until(due_as_captured(replay, ts), now);
		else
			pace_idle(&replay->pace, now);
	}
	return false;
}

static void sent(struct replay *replay, const struct pcap_pkthdr *head)
{
	replay->sender.packets++;
	replay->sender.bytes += head->caplen;
	replay->not_synced++;
	replay->truncated += head->caplen < head->len;
	pace_sent(&replay->pace, 1);
}

static bool make_room(struct replay *replay, uint32_t len)
{
	uint32_t max = nmx_tx_max_len(replay->sender.tx), slots = (len + max - 1) / max;

	if (!flush(replay))
		return false;
	return replay->sender.free_slots >= slots || sender_wait(&replay->sender, slots);
}

/* False: the command should end. */
static bool send_packet(struct replay *replay, const struct pcap_pkthdr *head, const u_char *data)
{
	for (;;) {
		int err = nmx_tx_send_long(replay->sender.tx, data, head->caplen);
		if (err == NMX_ERR_PACKET_TOO_LARGE) {
			*(head->caplen ? &replay->too_long : &replay->empty) += 1;
			return true;
		}
		if (err == 0) {
			sent(replay, head);
			return replay->not_synced < SYNC_EVERY || flush(replay);
		}
		if (err != NMX_ERR_WOULD_BLOCK) {
			replay->sender.err = err;
			return false;
		}
		if (!make_room(replay, head->caplen))
			return false;
	}
}

/* One turn.  False: the command should end. */
static bool replay_file(struct replay *replay)
{
	bool slow = replay->options->rate_pps != OPT_RATE_MAX;
	struct pcap_pkthdr *head;
	const u_char *data;
	int got;

	while ((got = pcap_next_ex(replay->capture, &head, &data)) == 1) {
		if (stop_asked() || (slow && !await_turn(replay, &head->ts)) || !send_packet(replay, head, data))
			return false;
		if (replay->not_synced == 0)
			tick(replay, clock_ns());
	}
	if (got == PCAP_ERROR_BREAK) /* the end of the file */
		return true;
	refuse(replay, pcap_geterr(replay->capture));
	replay->bad_file = true;
	return false;
}

/* The first turn's capture is open. */
static bool replay_all(struct replay *replay)
{
	bool go_on = true;

	while (go_on) {
		go_on = replay_file(replay);
		pcap_close(replay->capture);
		replay->loop += go_on;
		if (!go_on || replay->loop == replay->options->loops)
			return go_on;
		if (open_capture(replay) != EXIT_OK) {
			replay->bad_file = true;
			return false;
		}
	}
	return false;
}

static void say_summary(const struct replay *replay, double seconds)
{
	const struct {
		uint64_t count;
		const char *what;
	} rows[] = {
		{ replay->truncated, "cut short by the capture, sent as captured" },
		{ replay->empty, "not sent: the capture kept no byte of them" },
		{ replay->too_long, "not sent: longer than this port can chain" },
	};
	char text[UNITS_TEXT];

	summary_line(stdout, "sent", replay->sender.packets, replay->sender.bytes, seconds);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].count)
			printf("         %s %s\n", units_grouped(text, rows[i].count), rows[i].what);
	port_drops_say(replay->sender.port, stdout);
}

static void json_summary(const struct replay *replay, double seconds, uint64_t not_taken, bool ok)
{
	struct json json;

	json_begin(&json, stdout);
	json_text(&json, "file", replay->options->file);
	json_text(&json, "port", replay->sender.port->name);
	summary_json(&json, replay->sender.packets, replay->sender.bytes, seconds);
	json_u64(&json, "loops", replay->loop);
	json_u64(&json, "truncated", replay->truncated);
	json_u64(&json, "empty", replay->empty);
	json_u64(&json, "too_long", replay->too_long);
	json_u64(&json, "slots_not_taken", not_taken);
	port_drops_json(replay->sender.port, &json);
	json_bool(&json, "ok", ok);
	json_end(&json);
}

static int run_on(struct replay *replay, struct port *port)
{
	const struct replay_options *options = replay->options;
	uint64_t begin = clock_ns();

	live_start(&replay->live, options->quiet);
	sender_start(&replay->sender, port, &replay->live, options->timeout_ns);
	sender_use(&replay->sender, (uint32_t)options->ring, 1);
	pace_start(&replay->pace, options->rate_pps >= OPT_RATE_REAL ? 0 : options->rate_pps, begin);
	bool all = replay_all(replay);
	double seconds = (double)(clock_ns() - begin) / (double)CLOCK_S;
	uint64_t not_taken = sender_finish(&replay->sender);
	live_end(&replay->live);
	if (!all && !not_taken && replay->sender.peer_gone)
		say("replay", "the other end has gone");
	bool ok = (all || stop_asked()) && !replay->bad_file && !not_taken && replay->sender.err == 0 && port_not_sent(port) == 0;
	if (options->json)
		json_summary(replay, seconds, not_taken, ok);
	else
		say_summary(replay, seconds);
	return summary_exit("replay", stdout, ok);
}

static int replay_run(const void *given)
{
	struct replay replay = { .options = given };
	struct port port;

	if (is_stdin(&replay) && replay.options->loops > 1) {
		say("replay", "--loop: standard input can be read once only");
		return EXIT_USAGE;
	}
	if (open_capture(&replay) != EXIT_OK)
		return EXIT_FAILED;
	if (port_open(&port, "replay", &replay.options->port, NMX_TX_ONLY | NMX_CHAINS) != EXIT_OK) {
		pcap_close(replay.capture);
		return EXIT_FAILED;
	}
	int code;
	if (replay.options->ring < port.num_tx) {
		code = run_on(&replay, &port);
	} else {
		pcap_close(replay.capture);
		code = say("replay", "--ring %u: %s has %u transmit rings, numbered from 0", (unsigned)replay.options->ring,
			   port.name, port.num_tx);
	}
	port_close(&port);
	return code;
}

const struct command cmd_replay = {
	.name = "replay",
	.summary = "send the packets of a capture",
	.opts = replay_opts,
	.num_opts = sizeof(replay_opts) / sizeof(*replay_opts),
	.size = sizeof(struct replay_options),
	.defaults =
	    &(const struct replay_options){ .rate_pps = OPT_RATE_REAL, .loops = 1, .timeout_ns = 10 * CLOCK_S },
	.run = replay_run,
};
