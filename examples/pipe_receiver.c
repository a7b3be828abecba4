/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pipe_receiver: takes numbered packets out of a pipe until the sender has gone, and checks their order.
 *
 *     build/examples/pipe_receiver [PORT]        PORT: "example}1"; see pipe_sender
 */
#include <stdio.h>

#include <nmx/nmx.h>

struct tally {
	uint64_t packets, wrong;
};

static void count(struct nmx_rx *rx, struct tally *tally)
{
	uint64_t number;

	nmx_rx_for_each (rx, frame) {
		memcpy(&number, frame.data, sizeof(number));
		tally->wrong += frame.len != sizeof(number) || number != tally->packets;
		tally->packets++;
	}
}

/* Drains, sleeps, drains ... until the pipe is empty and the sender has gone. */
static int receive_all(struct nmx_rx *rx, struct tally *tally)
{
	int n;

	do {
		while ((n = nmx_rx_sync(rx)) > 0)
			count(rx, tally);
		if (n == 0)
			n = nmx_rx_wait(rx, -1);
	} while (n >= 0);
	return n;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "example}1";
	struct tally tally = { 0, 0 };
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(rx) rx = NULL;
	int err;

	if (strcmp(name, "--help") == 0) {
		printf("usage: pipe_receiver [PORT]     takes numbered packets from PORT (example}1) until the sender has gone\n");
		return 0;
	}
	if (nmx_open(&port, name, &(struct nmx_options){ .flags = NMX_RX_ONLY }, &why) < 0) {
		fprintf(stderr, "pipe_receiver: %s\n", why.text);
		return 1;
	}
	if ((err = nmx_rx_ring(port, 0, &rx)) == 0)
		err = receive_all(rx, &tally);
	if (err != NMX_ERR_PEER_GONE) {
		fprintf(stderr, "pipe_receiver: %s: %s\n", name, nmx_strerror(err));
		return 1;
	}
	printf("%s: received %llu packets, %llu wrong; the sender has gone\n", name, (unsigned long long)tally.packets,
	       (unsigned long long)tally.wrong);
	return tally.wrong ? 1 : 0;
}
