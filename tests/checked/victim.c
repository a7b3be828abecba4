/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "victim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void victim_fail(const char *condition, int line)
{
	fprintf(stderr, "the victim itself failed in line %d: %s\n", line, condition);
	exit(3);
}

static struct nmx_port *open_port(const char *name, const char *directory)
{
	struct nmx_options options = { .tx_slots = VICTIM_SLOTS, .rx_slots = VICTIM_SLOTS, .extra_bufs = 4, .flags = NMX_CHAINS,
		                       .directory = directory };
	struct nmx_report why = { 0 };
	struct nmx_port *port = NULL;

	if (nmx_open(&port, name, &options, &why) < 0)
		victim_fail(why.text, __LINE__);
	return port;
}

void victim_send(struct ends *ends, int n)
{
	uint8_t data[60] = { 0 };

	for (int i = 0; i < n; i++) {
		data[0] = (uint8_t)i;
		NEED(nmx_tx_send(ends->tx, data, sizeof(data)) == 0);
	}
	NEED(nmx_tx_sync(ends->tx) >= 0);
}

int victim_main(int argc, char **argv, const struct victim *victims)
{
	struct ends ends = { 0 };

	if (argc < 4)
		return 2;
	while (victims->name && strcmp(victims->name, argv[1]) != 0)
		victims++;
	if (!victims->name)
		victim_fail("there is such a case", __LINE__);
	if (strcmp(argv[2], "loop") == 0) {
		ends.tx_port = ends.rx_port = open_port("loop:", argv[3]);
	} else {
		ends.tx_port = open_port("x{1", argv[3]);
		ends.rx_port = open_port("x}1", argv[3]);
	}
	NEED(nmx_tx_ring(ends.tx_port, 0, &ends.tx) == 0);
	NEED(nmx_rx_ring(ends.rx_port, 0, &ends.rx) == 0);
	victims->run(&ends);
	nmx_tx_close(ends.tx);
	nmx_rx_close(ends.rx);
	nmx_close(ends.tx_port);
	if (ends.rx_port != ends.tx_port)
		nmx_close(ends.rx_port);
	return 0;
}
