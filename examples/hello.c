/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * hello: opens a port, sends "hello netmap!", receives it.
 *
 *     build/examples/hello [PORT]        PORT: "loop:", which gives back what it is sent
 */
#include <stdio.h>

#include <nmx/nmx.h>

int main(int argc, char **argv)
{
	static const char hello[] = "hello netmap!";
	struct nmx_report why;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;
	struct nmx_frame frame;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: hello [PORT]     sends a packet to PORT (loop:) and receives it\n");
		return 0;
	}
	if (nmx_open(&port, argc > 1 ? argv[1] : "loop:", NULL, &why) < 0) {
		fprintf(stderr, "hello: %s\n", why.text);
		return 1;
	}
	if (nmx_tx_ring(port, 0, &tx) < 0 || nmx_rx_ring(port, 0, &rx) < 0)
		return 1;

	if (nmx_tx_send(tx, hello, sizeof(hello)) < 0 || nmx_tx_sync(tx) < 0)
		return 1;

	if (nmx_rx_wait(rx, 1000) < 0 || nmx_rx_sync(rx) < 0 || !nmx_rx_recv(rx, &frame)) {
		fprintf(stderr, "hello: nothing came back\n");
		return 1;
	}
	printf("received %u bytes: %s\n", frame.len, (const char *)frame.data);
	return 0;
}
