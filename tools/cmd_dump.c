/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "receiver.h"
#include "say.h"
#include "summary.h"
#include "units.h"

struct dump_options {
	struct port_options port;
	const char *file;
	uint64_t count, timeout_ns;
	bool json, quiet;
};

#define AT(field) offsetof(struct dump_options, field)
/* clang-format off */
static const struct opt dump_opts[] = {
	PORT_OPERAND(struct dump_options),
	{ 0, NULL, OPT_TEXT, AT(file), "FILE", "the capture to write; - is standard output", 0, 0 },
	{ 'n', "count", OPT_COUNT, AT(count), "COUNT", "end after so many packets; fewer are a failure", 1, 0 },
	{ 0, "timeout", OPT_SECONDS, AT(timeout_ns), "SECONDS", "end when no packet comes for so long", 1, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "summary as one JSON object", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "no live rate", 0, 0 },
	PORT_OPTIONS(struct dump_options),
};
/* clang-format on */

#define SNAPLEN 262144 /* what libpcap takes at most; longer than any chain */
#define FLUSH_BYTES (1024 * 1024)

struct dump {
	struct receiver receiver; /* first, so that take() finds the rest */
	const struct dump_options *options;
	FILE *file;
	pcap_t *format;
	pcap_dumper_t *dumper;
	/* What is surely in the file, as of the last flush that went well. */
	uint64_t safe_packets;
	off_t safe_end;
	uint64_t flushed_bytes, too_long;
	bool regular;   /* so it can be mended */
	int write_errno;
	uint8_t joined[SNAPLEN];
};

static bool to_stdout(const struct dump_options *options)
{
	return strcmp(options->file, "-") == 0;
}

/* False: the file cannot be written. */
static bool flush(struct dump *dump)
{
	if (dump->write_errno)
		return false;
	if (pcap_dump_flush(dump->dumper) != 0 || ferror(dump->file)) {
		dump->write_errno = errno ? errno : EIO;
		return false;
	}
	dump->safe_packets = dump->receiver.packets;
	dump->safe_end = ftello(dump->file);
	dump->flushed_bytes = dump->receiver.bytes;
	return true;
}

static void write_packet(struct dump *dump, const struct timespec *now, const uint8_t *data, uint32_t len)
{
	struct pcap_pkthdr head = { .caplen = len, .len = len };

	head.ts.tv_sec = now->tv_sec;
	head.ts.tv_usec = now->tv_nsec; /* the file is one with nanoseconds */
	pcap_dump((u_char *)dump->dumper, &head, data);
	dump->receiver.packets++;
	dump->receiver.bytes += len;
}

static void skip_packet(struct nmx_rx *rx)
{
	struct nmx_frame frame;

	while (nmx_rx_recv(rx, &frame) && (frame.flags & NMX_MORE))
		;
}

/* Takes the first waiting packet: from where it lies if it is one frame, joined if it is a chain. */
static void take_packet(struct dump *dump, struct nmx_rx *rx, const struct nmx_frame *first,
			const struct timespec *now)
{
	if (!(first->flags & NMX_MORE)) {
		write_packet(dump, now, first->data, first->len);
		nmx_rx_next(rx);
		return;
	}
	int len = nmx_rx_recv_copy(rx, dump->joined, sizeof(dump->joined));
	if (len > 0) {
		write_packet(dump, now, dump->joined, (uint32_t)len);
		return;
	}
	dump->too_long++;
	skip_packet(rx);
}

static bool take(struct receiver *receiver, struct nmx_rx *rx, uint64_t now_ns)
{
	struct dump *dump = (struct dump *)receiver;
	struct nmx_frame frame;
	struct timespec now;

	(void)now_ns;
	clock_gettime(CLOCK_REALTIME, &now);
	errno = 0;
	while (receiver->packets < dump->options->count && nmx_rx_peek(rx, &frame))
		take_packet(dump, rx, &frame, &now);
	bool due = receiver->bytes - dump->flushed_bytes >= FLUSH_BYTES || ferror(dump->file);
	return (due && !flush(dump)) || receiver->packets == dump->options->count;
}

static bool idle(struct receiver *receiver)
{
	struct dump *dump = (struct dump *)receiver;

	errno = 0;
	return dump->safe_packets != receiver->packets && !flush(dump);
}

static int open_file(struct dump *dump)
{
	const char *name = dump->options->file;
	struct stat st;

	if (to_stdout(dump->options) && isatty(STDOUT_FILENO))
		return say("dump", "a terminal cannot show a capture; write to a file, or to a pipe");
	dump->file = to_stdout(dump->options) ? stdout : fopen(name, "w+be");
	if (!dump->file)
		return say("dump", "%s: %s", name, strerror(errno));
	dump->regular = fstat(fileno(dump->file), &st) == 0 && S_ISREG(st.st_mode);
	dump->format = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
	dump->dumper = dump->format ? pcap_dump_fopen(dump->format, dump->file) : NULL;
	if (!dump->dumper) {
		say("dump", "%s: %s", name, dump->format ? pcap_geterr(dump->format) : "out of memory");
		fclose(dump->file);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* After a failed write the file ends with a part of a packet: counts the whole ones behind the last flush that went
 * well, and cuts the rest off. */
static void mend(struct dump *dump, int fd)
{
	struct record {
		uint32_t seconds, nanoseconds, caplen, len;
	} record;
	off_t end = lseek(fd, 0, SEEK_END), at = dump->safe_end;

	while (at > 0 && pread(fd, &record, sizeof(record), at) == (ssize_t)sizeof(record) &&
	       end - at >= (off_t)(sizeof(record) + record.caplen)) {
		at += (off_t)(sizeof(record) + record.caplen);
		dump->safe_packets++;
		dump->flushed_bytes += record.caplen;
	}
	if (ftruncate(fd, at) != 0)
		say("dump", "%s: the last packet is cut short: %s", dump->options->file, strerror(errno));
}

static void close_file(struct dump *dump)
{
	int fd = dump->write_errno && dump->regular ? dup(fileno(dump->file)) : -1;

	pcap_dump_close(dump->dumper); /* writes what stdio still holds, as far as that goes */
	pcap_close(dump->format);
	if (fd >= 0) {
		mend(dump, fd);
		close(fd);
	}
}

static void say_trouble(const struct dump *dump, enum receive_end end)
{
	static const char *const why[] = {
		[RECEIVE_STOPPED] = "stopped",
		[RECEIVE_PEER_GONE] = "the other end has gone",
		[RECEIVE_TIMED_OUT] = "time is up",
	};
	char got[UNITS_TEXT], asked[UNITS_TEXT];

	if (dump->write_errno)
		say("dump", "%s: %s; %s packets are in it", dump->options->file, strerror(dump->write_errno),
		    units_grouped(got, dump->safe_packets));
	else if (end != RECEIVE_FAILED && dump->options->count != UINT64_MAX &&
		 dump->receiver.packets < dump->options->count)
		say("dump", "%s after %s of %s packets", why[end], units_grouped(got, dump->receiver.packets),
		    units_grouped(asked, dump->options->count));
	if (dump->too_long)
		say("dump", "%s packets were too long to be written", units_grouped(got, dump->too_long));
}

static void summary(const struct dump *dump, FILE *to, enum receive_end end, bool ok)
{
	const struct receiver *r = &dump->receiver;
	struct json json;

	if (!dump->options->json) {
		summary_line(to, "written", dump->safe_packets, dump->flushed_bytes, receive_seconds(r));
		port_drops_say(r->port, to);
		return;
	}
	json_begin(&json, to);
	json_text(&json, "port", r->port->name);
	json_text(&json, "file", dump->options->file);
	json_text(&json, "end", dump->write_errno ? "write_failed" : receive_end_name(end));
	summary_json(&json, dump->safe_packets, dump->flushed_bytes, receive_seconds(r));
	json_u64(&json, "too_long", dump->too_long);
	port_drops_json(r->port, &json);
	json_bool(&json, "ok", ok);
	json_end(&json);
}

static int run_on(struct dump *dump, struct port *port)
{
	FILE *to = to_stdout(dump->options) ? stderr : stdout;
	struct live live;

	dump->receiver = (struct receiver){
		.port = port, .live = &live, .timeout_ns = dump->options->timeout_ns, .take = take, .idle = idle
	};
	live_start(&live, dump->options->quiet);
	errno = 0;
	enum receive_end end = flush(dump) ? receive(&dump->receiver) : RECEIVE_FAILED;
	errno = 0;
	flush(dump);
	live_end(&live);
	/* A reader that closed its end had enough: that is no failure. */
	if (dump->write_errno == EPIPE)
		dump->write_errno = 0;
	bool short_of = dump->options->count != UINT64_MAX && dump->receiver.packets < dump->options->count;
	bool ok = !short_of && !dump->write_errno && !dump->too_long && end != RECEIVE_FAILED;
	close_file(dump);
	say_trouble(dump, end);
	summary(dump, to, end, ok);
	return summary_exit("dump", to, ok);
}

static int dump_run(const void *given)
{
	static struct dump dump; /* the buffer is too large for a stack */
	struct port port;

	dump.options = given;
	if (port_open(&port, "dump", &dump.options->port, NMX_RX_ONLY | NMX_CHAINS | NMX_PROMISC | NMX_RAW_CHECKSUM) != EXIT_OK)
		return EXIT_FAILED;
	int code = open_file(&dump);
	if (code == EXIT_OK)
		code = run_on(&dump, &port);
	port_close(&port);
	return code;
}

const struct command cmd_dump = {
	.name = "dump",
	.summary = "write what a port receives to a capture file",
	.details =
	    "pcap with nanoseconds.  Ends after COUNT packets, when the other end of a pipe has gone, when time is\n"
	    "up, or on Ctrl-C.\n",
	.opts = dump_opts,
	.num_opts = sizeof(dump_opts) / sizeof(*dump_opts),
	.size = sizeof(struct dump_options),
	.defaults = &(const struct dump_options){ .count = UINT64_MAX },
	.run = dump_run,
};
