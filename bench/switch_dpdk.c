/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * dpdk-testpmd between two memif ports.  It is a loop of its own, so that there are three, of sender, switch and receiver, for
 * two processors: testpmd has the first one to itself, and sender and receiver are one loop on the second, so that nobody
 * waits for a processor.  testpmd passes on without looking (mode io), and copies nothing (zero-copy): its buffers
 * are written and read in place.
 */
#include <stdio.h>
#include <unistd.h>

#include "memif.h"
#include "switch.h"
#include "testpmd.h"

static int listening[2] = { -1, -1 };

static void socket_path(char *path, size_t size, const struct switch_plan *plan, int port)
{
	snprintf(path, size, "%s/memif%d", plan->base.directory, port);
}

/* Before testpmd comes, which tries once. */
static void dpdk_prepare(const struct switch_plan *plan)
{
	char path[64];

	for (int i = 0; i < 2; i++) {
		socket_path(path, sizeof(path), plan, i);
		if (listening[i] >= 0) {
			close(listening[i]);
			unlink(path);
		}
		listening[i] = memif_listen(path);
	}
}

/* In the sender's place. */
static void dpdk_switch(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m,
                        uint32_t index)
{
	static struct testpmd t;
	char devices[256] = "--single-file-segments", path[64];

	(void)c;
	(void)index;
	for (int i = 0; i < 2; i++) {
		size_t used = strlen(devices);

		socket_path(path, sizeof(path), plan, i);
		snprintf(devices + used, sizeof(devices) - used,
		         " --vdev=net_memif%d,zero-copy=yes,rsize=%d,socket-abstract=no,socket=%s", i,
		         __builtin_ctz(plan->base.slots), path);
	}
	testpmd_start(&t, &(struct testpmd_setup){ .devices = devices,
	                                           .mode = "--forward-mode=io",
	                                           .slots = plan->base.slots,
	                                           .batch = plan->base.batch,
	                                           .directory = plan->base.directory });
	testpmd_say(&t, "start\n");
	gather(plan, m);
	while (!is_stopped(m))
		usleep(500);
	testpmd_quit(&t);
}

/* A batch, if there is room for it: packets. */
static uint32_t put(const struct switch_plan *plan, const struct memif *to, const struct header *header,
                    uint64_t seed)
{
	if (memif_pending(to->to_client) < plan->base.batch)
		return 0;
	for (uint32_t i = 0; i < plan->base.batch; i++) {
		struct memif_desc *d = memif_at(to, to->to_client, i);

		write_packet(memif_data(to, d), plan, header, seed + i);
		d->len = plan->base.len;
		d->flags = 0;
	}
	memif_advance(to->to_client, plan->base.batch);
	return plan->base.batch;
}

static uint32_t take(const struct switch_plan *plan, const struct memif *from, uint64_t *sum)
{
	uint32_t n = memif_pending(from->from_client);

	for (uint32_t i = 0; i < n; i++) {
		const struct memif_desc *d = memif_at(from, from->from_client, i);

		*sum += plan->base.touch ? read_payload(memif_data(from, d), d->len) : d->len;
	}
	if (n > 0)
		memif_advance(from->from_client, n);
	return n;
}

/* Both ends.  The first client that is let go closes memory that the second one still has to pass on. */
static void dpdk_ends(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m)
{
	const struct header header = header_of_sender(plan, 0);
	uint64_t seed = 0, count = 0, sum = 0;
	struct memif end[2] = { 0 };
	struct window window;

	(void)c;
	for (int i = 0; i < 2; i++)
		memif_accept(&end[i], listening[i]);
	for (int i = 0; i < 2; i++)
		memif_let_go(&end[i]);
	gather(plan, m);
	window = window_open(&plan->base);
	for (uint32_t turn = 0; turn % 256 || !window_over(&window, count, m); turn++) {
		seed += put(plan, &end[0], &header, seed);
		count += take(plan, &end[1], &sum);
	}
	m->checksum = sum;
	for (int i = 0; i < 2; i++)
		memif_outlive(&end[i]);
}

static void dpdk_missing(const char *directory, char *why, size_t size)
{
	(void)directory;
	if (!find_testpmd())
		snprintf(why, size, "dpdk-testpmd is not installed (Debian: dpdk-dev, librte-net-memif23)");
}

const struct switch_contender dpdk_switch_contender = { .is = { "dpdk", dpdk_missing },
	                                                .send = dpdk_switch,
	                                                .receive = dpdk_ends,
	                                                .prepare = dpdk_prepare,
	                                                .only_one = true };
