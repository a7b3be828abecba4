/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Somebody removes the segment's file, or every file, under living members.  They keep working with each other; who
 * comes now gets a segment of its own under the same name; neither disturbs the other, whoever leaves first.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crash.h"

enum { PATIENCE_MS = 10000 };
enum { STARTING, WORKING, LEAVING };

struct shared {
	_Atomic int ready[2];
	_Atomic int leave[2];
	_Atomic uint64_t count[2];
};
static struct shared *shared;

/* The two ends of a pipe in two processes: a number goes to and fro, more by one each time. */
static void play(int end)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8 };
	struct nmx_frame frame;
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	uint64_t value = 0;

	must(open_port(&port, end ? "old}1" : "old{1", &o, &why) == 0, "end %d: %s", end, why.text);
	must(nmx_tx_ring(port, 0, &tx) == 0 && nmx_rx_ring(port, 0, &rx) == 0, "no rings");
	atomic_store(&shared->ready[end], WORKING);
	while (atomic_load(&shared->ready[!end]) < WORKING)
		nap_us(100);
	if (end == 0)
		must(nmx_tx_send(tx, &value, sizeof(value)) == 0 && nmx_tx_sync(tx) >= 0, "cannot begin");
	while (!atomic_load(&shared->leave[end])) {
		int n = nmx_rx_sync(rx);

		must(n >= 0 || (atomic_load(&shared->leave[!end]) && (n == NMX_ERR_PEER_GONE || n == NMX_ERR_GONE)),
		     "end %d: after %llu turns, with the other end alive: %s", end, (unsigned long long)shared->count[end], nmx_strerror(n));
		if (n == 0) {
			(void)!nmx_rx_wait(rx, 20);
			continue;
		}
		if (n > 0 && nmx_rx_recv(rx, &frame)) {
			memcpy(&value, frame.data, sizeof(value));
			value++;
			atomic_store(&shared->count[end], value);
			must(nmx_tx_send(tx, &value, sizeof(value)) == 0, "no room");
			n = nmx_tx_sync(tx);
			must(n >= 0 || atomic_load(&shared->leave[!end]), "end %d: tx: %s", end, nmx_strerror(n));
		}
	}
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
}

static void play_end(void *end) { play(*(int *)end); }

static void must_go_on(const char *when)
{
	uint64_t before = atomic_load(&shared->count[0]);
	int64_t deadline = now_ms() + 3000;

	while (atomic_load(&shared->count[0]) < before + 50) {
		must(now_ms() < deadline, "%s: the old members do not work any more (%llu turns)", when, (unsigned long long)before);
		nap_us(200);
	}
}

static void remove_files(bool all)
{
	char path[128];

	if (all) {
		snprintf(path, sizeof(path), "rm -f %s/*", attack.dir);
		must(system(path) == 0, "rm");
		return;
	}
	snprintf(path, sizeof(path), "%s/default", attack.dir);
	must(unlink(path) == 0, "unlink: %m");
}

/* A member of the new segment that stays for a while. */
static struct nmx_port *open_new(void)
{
	struct nmx_report why;
	struct nmx_port *port;

	must(open_port(&port, "new{1", NULL, &why) == 0, "a newcomer: %s", why.text);
	return port;
}

static void begin(pid_t pid[2])
{
	static int ends[2] = { 0, 1 };

	memset(shared, 0, sizeof(*shared));
	for (int i = 0; i < 2; i++)
		pid[i] = spawn(play_end, &ends[i]);
	must_go_on("at first");
}

static void end(pid_t pid[2], bool murder)
{
	for (int i = 0; i < 2; i++) {
		atomic_store(&shared->leave[i], 1);
		if (murder && i == 0)
			kill_now(pid[i]);
		else
			reap_ok(pid[i], PATIENCE_MS, "an old member");
	}
}

static void newcomer_stays_longer(bool all)
{
	struct nmx_port *port;
	pid_t pid[2];

	begin(pid);
	remove_files(all);
	must_go_on("without their file");
	port = open_new();
	must_go_on("beside a new segment");
	must_work("in the new segment");
	must_go_on("when members of the new segment have left");
	nap_us(80000); /* longer than a peer is believed to live */
	must_go_on("later");
	end(pid, false);
	must_add_up("the new segment, when the old members have left", NULL);
	must_work("in the new segment, when the old members have left");
	must(count_files(attack.dir, "default.m") == 1, "the newcomer's own file is gone");
	nmx_close(port);
	must(count_files(attack.dir, "") == 0, "files are left");
}

static void newcomer_leaves_first(bool all)
{
	pid_t pid[2];

	begin(pid);
	remove_files(all);
	nmx_close(open_new());
	must_go_on("when the new segment has gone again");
	nap_us(80000);
	must_go_on("later");
	end(pid, false);
	must(count_files(attack.dir, "") == 0, "files are left");
}

/* A death in the removed segment is noticed by the one that is left, and by nobody else. */
static void death_in_the_old_segment(bool all)
{
	struct nmx_port *port;
	pid_t pid[2];

	begin(pid);
	remove_files(all);
	port = open_new();
	end(pid, true);
	must_work("in the new segment, after a death in the old one");
	nmx_close(port);
}

int main(int argc, char **argv)
{
	attack_begin("unlinked", argc, argv, 3, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared != MAP_FAILED, "no memory");
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		bool all = attack.round % 2;

		newcomer_stays_longer(all);
		newcomer_leaves_first(all);
		death_in_the_old_segment(all);
		remove_files(true);
	}
	return attack_end("%u rounds", attack.count);
}
