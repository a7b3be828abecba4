/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * poll_basic: several ports in one loop around poll(2), as a program does that has other descriptors to watch as well.
 *
 *     build/examples/poll_basic PORT...          for instance 'a}1' 'b}1'; ends when all senders have gone
 *     build/examples/pipe_sender 'a{1' 1000
 *     build/examples/pipe_sender 'b{1' 2000
 */
#include <poll.h>
#include <stdio.h>

#include <nmx/nmx.h>

enum { MAX_PORTS = 16 };

struct source {
	const char *name;
	struct nmx_port *port;
	struct nmx_rx *rx;
	uint64_t packets;
};

/* Until a sync returns 0: that arms the descriptor, so nothing that comes later is missed. */
static int drain(struct source *s)
{
	int n;

	while ((n = nmx_rx_sync(s->rx)) > 0)
		nmx_rx_for_each (s->rx, frame)
			s->packets += !(frame.flags & NMX_MORE);
	return n;
}

static int open_source(struct source *s, const char *name, struct pollfd *fd)
{
	struct nmx_report why;
	int err;

	s->name = name;
	if (nmx_open(&s->port, name, &(struct nmx_options){ .flags = NMX_RX_ONLY }, &why) < 0) {
		fprintf(stderr, "poll_basic: %s\n", why.text);
		return -1;
	}
	if ((err = nmx_rx_ring(s->port, 0, &s->rx)) < 0) {
		fprintf(stderr, "poll_basic: %s: %s\n", name, nmx_strerror(err));
		return -1;
	}
	*fd = nmx_rx_pollfd(s->rx);
	if (fd->fd < 0) {
		fprintf(stderr, "poll_basic: %s: no descriptor to be had\n", name);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct source sources[MAX_PORTS];
	struct pollfd fds[MAX_PORTS];
	int n = argc - 1, open, err;

	if (n < 1 || n > MAX_PORTS || strcmp(argv[1], "--help") == 0) {
		bool help = n == 1;

		fprintf(help ? stdout : stderr, "usage: poll_basic PORT...     counts what comes in at 1 to %d ports\n", MAX_PORTS);
		return help ? 0 : 2;
	}
	for (int i = 0; i < n; i++) {
		sources[i] = (struct source){ 0 };
		if (open_source(&sources[i], argv[i + 1], &fds[i]) < 0)
			return 1;
	}
	for (open = n; open > 0;) {
		if (poll(fds, (nfds_t)n, -1) < 0)
			return 1;
		for (int i = 0; i < n; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			err = drain(&sources[i]);
			if (err == 0)
				continue;
			printf("%s: %llu packets; %s\n", sources[i].name, (unsigned long long)sources[i].packets,
			       nmx_strerror(err));
			nmx_rx_close(sources[i].rx);
			nmx_close(sources[i].port);
			fds[i].fd = -1; /* poll(2) leaves it out */
			open--;
		}
	}
	return 0;
}
