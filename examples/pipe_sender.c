/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * pipe_sender: sends numbered packets into a pipe; pipe_receiver, another program, takes them out.
 *
 *     build/examples/pipe_sender [PORT [PACKETS]]        PORT: "example{1"
 *     build/examples/pipe_receiver [PORT]                PORT: "example}1"; before it or after it
 */
#include <stdio.h>

#include <nmx/nmx.h>

#include "number.h"

static int send_all(struct nmx_tx *tx, uint64_t packets)
{
	uint64_t next = 0;
	int err;

	while (next < packets) {
		err = nmx_tx_send(tx, &next, sizeof(next));
		if (err == 0) {
			next++;
			continue;
		}
		if (err != NMX_ERR_WOULD_BLOCK)
			return err;
		err = nmx_tx_sync(tx); /* the ring is full: hand it over, and sleep when that brings no room */
		if (err == 0)
			err = nmx_tx_wait(tx, 64, -1);
		if (err < 0 && err != NMX_ERR_PEER_GONE) /* what is sent waits for the next receiver */
			return err;
	}
	/* A pipe lives until both ends are closed, so wait until a receiver has taken everything. */
	while ((err = nmx_tx_drain(tx, 10000)) == NMX_ERR_PEER_GONE)
		;
	return err;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "example{1";
	uint64_t packets = argc > 2 ? read_number("pipe_sender: PACKETS", argv[2]) : 100000;
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(tx) tx = NULL;
	int err;

	if (strcmp(name, "--help") == 0) {
		printf("usage: pipe_sender [PORT [PACKETS]]     sends numbered packets (100000) to PORT (example{1)\n");
		return 0;
	}
	if (nmx_open(&port, name, &(struct nmx_options){ .flags = NMX_TX_ONLY }, &why) < 0) {
		fprintf(stderr, "pipe_sender: %s\n", why.text);
		return 1;
	}
	if ((err = nmx_tx_ring(port, 0, &tx)) == 0)
		err = send_all(tx, packets);
	if (err < 0) {
		fprintf(stderr, "pipe_sender: %s: %s\n", name, nmx_strerror(err));
		return 1;
	}
	printf("%s: sent %llu packets\n", name, (unsigned long long)packets);
	return 0;
}
