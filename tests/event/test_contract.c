/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The contract of <nmx/event.h> where packets move in memory. */
#include <stdio.h>

#include "contract.h"

static bool pipe_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	char ends[2][32];

	snprintf(ends[0], sizeof(ends[0]), "e{%u", number);
	snprintf(ends[1], sizeof(ends[1]), "e}%u", number);
	link->tx_port = support_open(ends[0], options);
	link->rx_port = support_open(ends[1], options);
	link->tx = support_tx(link->tx_port, 0);
	link->rx = support_rx(link->rx_port, 0);
	return true;
}

static bool loop_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	(void)number;
	link->tx_port = link->rx_port = support_open("loop:", options);
	link->tx = support_tx(link->tx_port, 0);
	link->rx = support_rx(link->rx_port, 0);
	return true;
}

int main(void)
{
	static const struct place places[] = { { "pipe", pipe_link, "far{1", "far}1" }, { "loop", loop_link, NULL, NULL } };
	int failed;

	if (support_make_directory(NULL) < 0)
		return 1;
	failed = contract_run(contract_single, places, 2) + contract_run(contract_life, places, 2) +
	         contract_run(contract_traffic, places, 2) + contract_run(contract_full, places, 2) + contract_run(contract_peers, places, 1);
	return support_remove_directory(NULL) < 0 || failed ? 1 : 0;
}
