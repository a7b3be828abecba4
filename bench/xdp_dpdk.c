/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* DPDK's af_xdp driver through dpdk-testpmd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testpmd.h"
#include "xdp.h"

static uint64_t number_after(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	return at ? strtoull(at + strlen(what), NULL, 10) : 0;
}

/* What it has received, whenever the parent asks: the time is taken half way. */
static void answer(struct testpmd *t, struct xdp_meeting *m)
{
	uint64_t before = now_ns();

	m->count = number_after(testpmd_say(t, "show port stats 0\n"), "RX-packets:");
	m->count_at = before + (now_ns() - before) / 2;
	m->answered = m->asked;
}

static void dpdk_run(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	static const char *const modes[] = { "rxonly", "rxonly", "txonly", "io" };
	static struct testpmd t;
	char mode[64];

	snprintf(mode, sizeof(mode), "--forward-mode=%s --txpkts=%u", modes[plan->job], plan->len);
	testpmd_start(&t, &(struct testpmd_setup){ .devices = plan->job == FORWARD ? "--vdev=net_af_xdp0,iface=c0 --vdev=net_af_xdp1,iface=c1"
	                                                                            : "--vdev=net_af_xdp0,iface=c0",
	                                           .mode = mode,
	                                           .slots = plan->slots,
	                                           .batch = plan->batch,
	                                           .directory = plan->directory });
	testpmd_say(&t, "start\n");
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		if (m->asked != m->answered)
			answer(&t, m);
		usleep(500);
	}
	testpmd_quit(&t);
}

static void dpdk_missing(const char *directory, char *why, size_t size)
{
	(void)directory;
	if (!find_testpmd())
		snprintf(why, size, "dpdk-testpmd is not installed (Debian: dpdk-dev, librte-net-af-xdp23)");
}

const struct xdp_contender dpdk_contender = { .is = { "dpdk", dpdk_missing }, .run = dpdk_run, .has_to_be_asked = true };
