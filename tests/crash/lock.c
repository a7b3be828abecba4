/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Somebody stops, or dies, inside the segment lock: others say who it is after the deadline, and go on as soon as it
 * does or is gone.  Outside of the lock a stopped member is nobody's business.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"
#include "shm/segment.h"

enum { PATIENCE_MS = 10000 };

static _Atomic int *progress;
enum { NOTHING, MEMBER, LOCKED, DONE };
static _Atomic pid_t *keeper; /* of a holder's memory */

static void await(int state)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (atomic_load(progress) < state) {
		must(now_ms() < deadline, "the other process does not come to state %d", state);
		nap_us(200);
	}
}

/* Holds the lock until it is killed, or half a second after it was continued. */
static void hold_lock(void *unused)
{
	struct nmx__segment *seg;
	struct nmx_port *port;
	struct nmx_report why;

	(void)unused;
	must(open_port(&port, "held{1", NULL, &why) == 0, "holder: %s", why.text);
	must(nmx__seg_get(&seg, attack.dir, NULL, SEGMENT_BUFS, &why) == 0, "holder: %s", why.text);
	must(nmx__seg_lock(seg, &why) == 0, "holder: %s", why.text);
	atomic_store(progress, LOCKED);
	raise(SIGSTOP);
	nap_us(200000);
	nmx__seg_unlock(seg);
	nmx__seg_put(seg);
	nmx_close(port);
	atomic_store(progress, DONE);
}

/* Has the holder's memory, and no descriptor. */
static int keep(void *unused)
{
	(void)unused;
	syscall(SYS_close_range, 0, ~0u, 0);
	atomic_store(keeper, (pid_t)syscall(SYS_getpid));
	alarm(PATIENCE_MS / 1000); /* whatever becomes of the test */
	return pause();
}

static void hold_lock_kept(void *unused)
{
	static uint8_t stack[65536] __attribute__((__aligned__(16)));

	must(clone(keep, stack + sizeof(stack), CLONE_VM, NULL) > 0, "clone: %m");
	hold_lock(unused);
}

static pid_t start_holder(void (*holder)(void *))
{
	pid_t pid;
	int status;

	atomic_store(progress, NOTHING);
	pid = spawn(holder, NULL);
	await(LOCKED);
	must(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "the holder did not stop");
	return pid;
}

static void try_open(int expected, pid_t holder)
{
	struct nmx_report why;
	struct nmx_port *port;
	char number[16];
	int64_t began = now_ms(), took;
	int err = open_port(&port, "other{1", NULL, &why);

	took = now_ms() - began;
	must(err == expected, "open under a stopped holder says %s (%s), expected %s", nmx_error_name(err), why.text,
	     nmx_error_name(expected));
	must(took < 5000, "open took %lld ms", (long long)took);
	if (err == 0)
		nmx_close(port);
	snprintf(number, sizeof(number), "%d", (int)holder);
	must(err == 0 || (strstr(why.text, number) && strstr(why.text, "crash_lock")), "the holder (process %s) is not named: %s", number,
	     why.text);
}

static void stopped_holder_is_named(void)
{
	pid_t pid = start_holder(hold_lock);

	try_open(NMX_ERR_BUSY, pid);
	kill(pid, SIGCONT);
	try_open(0, pid);
	reap_ok(pid, PATIENCE_MS, "the holder");
	must(count_files(attack.dir, "") == 0, "files are left");
}

static void killed_holder_is_recovered(void)
{
	pid_t pid = start_holder(hold_lock);

	kill_now(pid);
	try_open(0, pid);
	must(count_files(attack.dir, "") == 0, "files of the killed holder are left");
}

/* Who looks at a process (ps does) keeps its memory for a while, even if it dies meanwhile; its locks are not to be kept with
 * that.  Here somebody keeps it for good. */
static void memory_of_the_killed_keeps_no_lock(void)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	struct nmx_report why;
	struct nmx_port *port;
	pid_t pid;

	atomic_store(keeper, 0);
	pid = start_holder(hold_lock_kept);
	for (; !atomic_load(keeper); nap_us(200))
		must(now_ms() < deadline, "nobody keeps the holder's memory");
	kill_now(pid);
	try_open(0, pid);
	must(open_port(&port, "held{1", NULL, &why) == 0, "the end of the killed one: %s", why.text);
	nmx_close(port);
	must(kill(atomic_load(keeper), SIGKILL) == 0, "the holder's memory was not kept");
	must(count_files(attack.dir, "") == 0, "files of the killed holder are left");
}

static void wait_then_open(void *holder)
{
	struct nmx_report why;
	struct nmx_port *port;
	int err = open_port(&port, "other{1", NULL, &why);

	(void)holder;
	must(err == 0 || (err == NMX_ERR_BUSY && strstr(why.text, "is open already")), "who waited was told: %s", why.text);
	if (err == 0)
		nmx_close(port);
}

/* Others wait while it is stopped, and are let in when it is killed; they may find each other in. */
static void waiting_ends_with_the_holder(void)
{
	pid_t pid = start_holder(hold_lock), others[3];

	for (int i = 0; i < 3; i++) {
		others[i] = spawn(wait_then_open, &pid);
		nap_us(50000);
	}
	kill_now(pid);
	for (int i = 0; i < 3; i++)
		reap_ok(others[i], PATIENCE_MS, "a waiting process");
	must(count_files(attack.dir, "") == 0, "files are left");
}

/* ---- outside of the lock */

static void be_member(void *unused)
{
	struct nmx_report why;
	struct nmx_port *port;

	(void)unused;
	must(open_port(&port, "still{1", NULL, &why) == 0, "member: %s", why.text);
	atomic_store(progress, MEMBER);
	for (;;)
		nap_us(100000);
}

static void stopped_member_disturbs_nobody(void)
{
	int64_t began;
	pid_t pid;

	atomic_store(progress, NOTHING);
	pid = spawn(be_member, NULL);
	await(MEMBER);
	kill(pid, SIGSTOP);
	began = now_ms();
	for (int i = 0; i < 20; i++)
		must_work("beside a stopped member");
	must(now_ms() - began < 2000, "20 opens took %lld ms beside a stopped member", (long long)(now_ms() - began));
	must_add_up("with a stopped member", NULL);
	must(count_files(attack.dir, "default.m") == 1, "the stopped member's file is gone");
	kill_now(pid);
	must_work("after its death");
	must(count_files(attack.dir, "") == 0, "files are left");
}

/* ---- data beside a stopped holder */

static const struct nmx_options small = { .tx_slots = 8, .rx_slots = 8 };

static void be_peer(void *unused)
{
	struct nmx_report why;
	struct nmx_port *port;

	(void)unused;
	must(open_port(&port, "data}1", &small, &why) == 0, "peer: %s", why.text);
	atomic_store(progress, MEMBER);
	for (;;)
		nap_us(100000);
}

/* A peer dies while its recovery has to wait for the lock: no sync waits with it, and the news comes in the end. */
static void sync_does_not_wait_for_the_lock(void)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_rx *rx;
	int64_t longest = 0, until;
	pid_t peer, holder;
	int n = 0;

	must(open_port(&port, "data{1", &small, &why) == 0 && nmx_rx_ring(port, 0, &rx) == 0, "%s", why.text);
	atomic_store(progress, NOTHING);
	peer = spawn(be_peer, NULL);
	await(MEMBER);
	must(nmx_rx_sync(rx) == 0, "sync");
	holder = start_holder(hold_lock);
	kill_now(peer);
	for (until = now_ms() + 600; now_ms() < until;) {
		int64_t began = now_ms();

		must(nmx_rx_sync(rx) == 0 && nmx_rx_wait(rx, 20) >= 0, "a sync or a wait beside a stopped holder");
		longest = now_ms() - began > longest ? now_ms() - began : longest;
	}
	must(longest < 500, "a sync and a wait of 20 ms took %lld ms beside a stopped holder of the lock", (long long)longest);
	kill_now(holder);
	for (until = now_ms() + 2500; n == 0 && now_ms() < until; nap_us(1000))
		n = nmx_rx_sync(rx);
	must(n == NMX_ERR_PEER_GONE, "the peer's death is not told: %d", n);
	nmx_rx_close(rx);
	nmx_close(port);
	must(count_files(attack.dir, "") == 0, "files are left");
}

int main(int argc, char **argv)
{
	attack_begin("lock", argc, argv, 1, 0);
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	keeper = (_Atomic pid_t *)(progress + 1);
	must(progress != MAP_FAILED, "no memory");
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		stopped_holder_is_named();
		killed_holder_is_recovered();
		memory_of_the_killed_keeps_no_lock();
		waiting_ends_with_the_holder();
		stopped_member_disturbs_nobody();
		sync_does_not_wait_for_the_lock();
	}
	return attack_end("%u rounds: a stopped holder is named, a killed one recovered, a stopped member disturbs nobody", attack.count);
}
