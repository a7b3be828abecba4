/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The contract of <nmx/event.h> where packets move in memory. */
#include <stdio.h>

#include "contract.h"

static bool loop_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	(void)number;
	link->tx_port = link->rx_port = support_open("loop:", options);
	link->tx = support_tx(link->tx_port, 0);
	link->rx = support_rx(link->rx_port, 0);
	return true;
}

/* Two ports of a switch for each link, the sender one that waits for its destination. */
static bool switch_link(struct link *link, unsigned number, const struct nmx_options *options)
{
	char ports[2][32];

	snprintf(ports[0], sizeof(ports[0]), "vale%u:from@block", number);
	snprintf(ports[1], sizeof(ports[1]), "vale%u:to", number);
	return rig_link(link, ports[0], ports[1], options);
}

enum { LOOP, PIPE, SWITCH, PLACES };

int main(void)
{
	static const struct place places[] = {
		[LOOP] = { "loop", loop_link, NULL, NULL },
		[PIPE] = { "pipe", rig_link_pipe, "far{1", "far}1" },
		[SWITCH] = { "switch", switch_link, "vale99:far", "vale99:near@block" },
	};
	static const struct contract_case *const everywhere[] = { contract_single, contract_life, contract_traffic, contract_full };
	int failed = 0;

	if (support_make_directory(NULL) < 0)
		return 1;
	for (unsigned i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++)
		failed += contract_run(everywhere[i], places, PLACES);
	failed += contract_run(contract_taken, &places[LOOP], 2);
	failed += contract_run(contract_rest, &places[PIPE], 2) + contract_run(contract_amount, &places[PIPE], 1) +
	          contract_run(contract_load, &places[PIPE], 2);
	failed += contract_run(contract_peers, &places[PIPE], 1) + contract_run(contract_members, &places[SWITCH], 1);
	return support_remove_directory(NULL) < 0 || failed ? 1 : 0;
}
