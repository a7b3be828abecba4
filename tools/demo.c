/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "echo.h"
#include "receiver.h"
#include "say.h"
#include "sender.h"
#include "stop.h"
#include "verify.h"

#define BATCH 256u
#define PATIENCE (5 * CLOCK_S) /* of one end with the other */
#define MAX_LEN 2048u
#define NEAR_NAME "demo{1"
#define FAR_NAME "demo}1"

/* What the far end tells the near one. */
struct far_report {
	uint64_t received, bytes, lost, duplicate, reordered, corrupt, other;
	double seconds;
	bool ran;
};

/* ---------------------------------------------------------------- far end: a child */

struct far {
	struct receiver receiver; /* first, so that take() finds the rest */
	struct verify *verify;
	uint8_t copy[MAX_LEN];
};

static void check(struct far *far, const uint8_t *data, uint32_t len, uint64_t now)
{
	verify_packet(far->verify, data, len, now);
	far->receiver.packets++;
	far->receiver.bytes += len;
}

static bool take_in_place(struct receiver *receiver, struct nmx_rx *rx, uint64_t now)
{
	nmx_rx_for_each (rx, frame)
		check((struct far *)receiver, frame.data, frame.len, now);
	return false;
}

static bool take_copies(struct receiver *receiver, struct nmx_rx *rx, uint64_t now)
{
	struct far *far = (struct far *)receiver;
	int len;

	while ((len = nmx_rx_recv_copy(rx, far->copy, sizeof(far->copy))) > 0)
		check(far, far->copy, (uint32_t)len, now);
	return false;
}

static void receive_stream(const struct demo_case *c, struct port *port, struct live *live, struct far_report *report)
{
	static struct far far;

	far.receiver = (struct receiver){ .port = port,
					  .live = live,
					  .timeout_ns = PATIENCE,
					  .take = c->way == DEMO_COPY ? take_copies : take_in_place };
	far.verify = verify_new();
	if (!far.verify) {
		say("demo", "out of memory");
		return;
	}
	enum receive_end end = receive(&far.receiver);
	*report = (struct far_report){
		.received = far.receiver.packets,
		.bytes = far.receiver.bytes,
		.lost = far.verify->lost,
		.duplicate = far.verify->duplicate,
		.reordered = far.verify->reordered,
		.corrupt = far.verify->corrupt,
		.other = far.verify->too_late + far.verify->foreign + far.verify->untracked,
		.seconds = receive_seconds(&far.receiver),
		.ran = end == RECEIVE_PEER_GONE,
	};
	verify_free(far.verify);
}

static void far_end(const struct demo_case *c, const char *directory, struct far_report *report)
{
	struct port_options options = { .name = FAR_NAME, .directory = directory, .backend = NMX_PIPE };
	struct live live;
	struct port port;

	if (port_open(&port, "demo", &options, demo_is_ping(c) ? 0 : NMX_RX_ONLY) != EXIT_OK)
		return;
	live_start(&live, true);
	if (demo_is_ping(c)) {
		struct pong_report pong;
		report->ran = pong_run(&port, &live, c->way == DEMO_PING_SPIN, &pong) == RECEIVE_PEER_GONE;
		report->received = pong.packets;
	} else
		receive_stream(c, &port, &live, report);
	port_close(&port);
}

/* ---------------------------------------------------------------- near end: this process */

struct near {
	struct sender sender;
	struct frame_template template;
	struct frame_stamp stamp;
	uint32_t len;
	uint8_t own[MAX_LEN];
};

static void count_one(struct near *near)
{
	near->stamp.sequence++;
	near->sender.packets++;
	near->sender.bytes += near->len;
}

static int send_in_place(struct near *near)
{
	struct nmx_batch batch;
	uint8_t *data;
	int got = nmx_tx_reserve(near->sender.port->tx, BATCH, &batch);

	if (got < 0)
		return got;
	while ((data = nmx_batch_packet(&batch, near->len))) {
		frame_build(&near->template, data, near->len, &near->stamp);
		count_one(near);
	}
	nmx_batch_commit(&batch);
	return 0;
}

static int send_copies(struct near *near)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		frame_build(&near->template, near->own, near->len, &near->stamp);
		int err = nmx_tx_send(near->sender.port->tx, near->own, near->len);
		if (err < 0)
			return err == NMX_ERR_WOULD_BLOCK ? 0 : err;
		count_one(near);
	}
	return 0;
}

static void send_stream(const struct demo_case *c, struct port *port, struct live *live, struct demo_result *result)
{
	static struct near near;
	uint64_t end = clock_ns() + c->ms * CLOCK_MS;

	near.len = c->len;
	near.stamp = (struct frame_stamp){ .run = frame_run_id() };
	frame_template(&near.template, &(struct frame_addresses)FRAME_ADDRESSES, true, near.stamp.run);
	sender_start(&near.sender, port, live, PATIENCE);
	while (!stop_asked() && (near.stamp.time_ns = clock_ns()) < end) {
		near.sender.err = c->way == DEMO_COPY ? send_copies(&near) : send_in_place(&near);
		if (near.sender.err < 0 || !sender_sync(&near.sender))
			break;
		if (near.sender.free_slots == 0 && !sender_wait(&near.sender, BATCH))
			break;
	}
	result->sent = near.sender.packets;
	sender_finish(&near.sender);
}

static bool send_pings(const struct demo_case *c, struct port *port, struct live *live, struct demo_result *result)
{
	static struct ping ping;

	ping = (struct ping){ .port = port,
			      .live = live,
			      .count = UINT64_MAX,
			      .len = c->len,
			      .until_ns = clock_ns() + c->ms * CLOCK_MS,
			      .timeout_ns = CLOCK_S,
			      .spin = c->way == DEMO_PING_SPIN };
	frame_template(&ping.template, &(struct frame_addresses)FRAME_ADDRESSES, true, frame_run_id());
	ping_run(&ping);
	result->sent = ping.sent;
	result->received = ping.answered;
	result->lost = ping.lost;
	result->corrupt = ping.corrupt;
	result->rtt = ping.rtt;
	if (ping.err < 0)
		say("demo", "%s: %s", port->name, nmx_strerror(ping.err));
	return ping.err == 0 && ping.sent > 0 && ping.lost == 0 && ping.corrupt == 0 && ping.late == 0;
}

/* The near end of a case.  False: it went wrong on this side. */
static bool near_end(const struct demo_case *c, const char *directory, struct demo_result *result)
{
	struct port_options options = { .name = NEAR_NAME, .directory = directory, .backend = NMX_PIPE };
	struct live live;
	struct port port;
	bool good = true;

	if (port_open(&port, "demo", &options, demo_is_ping(c) ? 0 : NMX_TX_ONLY) != EXIT_OK)
		return false;
	live_start(&live, true);
	if (demo_is_ping(c))
		good = send_pings(c, &port, &live, result);
	else
		send_stream(c, &port, &live, result);
	port_close(&port);
	return good;
}

/* ---------------------------------------------------------------- both */

/* The child's whole life.  It has opened no port before the fork: a port stays with the process that opened it. */
static void child(const struct demo_case *c, const char *directory, int to_parent)
{
	struct far_report report;

	memset(&report, 0, sizeof(report));
	far_end(c, directory, &report);
	ssize_t written = write(to_parent, &report, sizeof(report));
	_exit(written == (ssize_t)sizeof(report) ? EXIT_OK : EXIT_FAILED);
}

/* The child's report, which it writes in one piece; false: it died before. */
static bool read_report(int fd, struct far_report *report)
{
	ssize_t n;

	do
		n = read(fd, report, sizeof(*report));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*report);
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool judge_stream(const struct far_report *report, struct demo_result *result)
{
	result->received = report->received;
	result->bytes = report->bytes;
	result->seconds = report->seconds;
	result->duplicate = report->duplicate;
	result->reordered = report->reordered;
	result->corrupt = report->corrupt;
	result->lost = report->lost;
	/* The receiver cannot know what is missing at the end. */
	if (result->sent > report->received + report->lost)
		result->lost += result->sent - report->received - report->lost;
	return result->sent > 0 && result->sent == result->received && result->lost == 0 && result->duplicate == 0 &&
	       result->reordered == 0 && result->corrupt == 0 && report->other == 0;
}

bool demo_run_case(const struct demo_case *c, const char *directory, struct demo_result *result)
{
	struct far_report report;
	int fd[2];

	memset(result, 0, sizeof(*result));
	if (pipe(fd) != 0)
		return say("demo", "pipe: %s", strerror(errno)) == EXIT_OK;
	pid_t pid = fork();
	if (pid < 0) {
		say("demo", "fork: %s", strerror(errno));
		close(fd[0]);
		close(fd[1]);
		return false;
	}
	if (pid == 0) {
		close(fd[0]);
		child(c, directory, fd[1]);
	}
	close(fd[1]);
	bool good = near_end(c, directory, result);
	if (!good)
		kill(pid, SIGTERM); /* it would wait for us in vain */
	bool reported = read_report(fd[0], &report);
	close(fd[0]);
	wait_for(pid);
	if (!reported) {
		say("demo", "the other process died");
		return false;
	}
	if (!demo_is_ping(c))
		good &= judge_stream(&report, result);
	return good && (report.ran || stop_asked());
}

int demo_directory(char *directory, size_t size)
{
	const char *temporary = getenv("TMPDIR");

	snprintf(directory, size, "/dev/shm/nmx-demo-XXXXXX");
	if (mkdtemp(directory))
		return 0;
	snprintf(directory, size, "%s/nmx-demo-XXXXXX", temporary && *temporary ? temporary : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	remove(path);
	return 0;
}

void demo_remove(const char *directory)
{
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
