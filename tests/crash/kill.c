/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Death at any instant.  Two processes talk over a pipe; one, the other or both are killed: at a random time, after a
 * random number of instructions of a turn (sync, take, put, forward), or somewhere inside open and close, their
 * successors' cleaning included.  Then: nobody crashes or hangs, what was handed over arrives once and in order, what
 * died with a receiver is counted, buffers add up, and nothing of the dead stays in the directory.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors.h"
#include "shm/segment.h"

enum { PATIENCE_MS = 15000, MAX_STEPS = 3000, MAX_CALLS = 90 };

struct scene {
	struct stage *stage;
	struct rng rng;
	struct part part[2];
	pid_t pid[2]; /* 0: none */
};

static uint32_t kills, kills_in_turn, kills_in_open, kills_in_close, kills_in_crowd, too_late;
static uint64_t sent, received, lost;
static const char *const role_names[] = { "sender", "receiver" };

/* ---- processes that are traced */

static void start(struct scene *scene, enum role role)
{
	struct actor *actor = &scene->stage->actor[role];

	atomic_store(&actor->state, OPENING);
	atomic_store(&actor->trap_loop, 0);
	scene->part[role] = (struct part){ scene->stage, role };
	scene->pid[role] = spawn(act, &scene->part[role]);
}

/* Notes an end that nobody asked for; passes signals on.  True: it stands at a trap. */
static bool look_after(struct scene *scene, enum role role)
{
	int status;
	pid_t got = scene->pid[role] ? waitpid(scene->pid[role], &status, WNOHANG) : 0;

	if (got == 0)
		return false;
	must(got > 0, "waitpid of the %s: %s", role_names[role], strerror(errno));
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return true;
	if (WIFSTOPPED(status)) {
		must(WSTOPSIG(status) != SIGSEGV && WSTOPSIG(status) != SIGBUS && WSTOPSIG(status) != SIGABRT, "the %s crashed: %s",
		     role_names[role], strsignal(WSTOPSIG(status)));
		ptrace(PTRACE_CONT, scene->pid[role], NULL, (void *)(intptr_t)WSTOPSIG(status));
		return false;
	}
	scene->pid[role] = 0;
	must(WIFEXITED(status), "the %s crashed: %s", role_names[role], strsignal(WTERMSIG(status)));
	must(WEXITSTATUS(status) == 0, "the %s failed (it said why above)", role_names[role]);
	atomic_store(&scene->stage->actor[role].state, CLOSED);
	return false;
}

static void wait_for(struct scene *scene, enum role role, enum state state)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (atomic_load(&scene->stage->actor[role].state) < (int)state) {
		for (int r = 0; r < 2; r++)
			must(!look_after(scene, r), "the %s stopped at a trap that is not wanted", role_names[r]);
		must(now_ms() < deadline,
		     "the %s hangs before state %d (is %d); sender: %llu turns, epoch %u, synced %llu; receiver: %llu turns, expects "
		     "%u:%llu, credit %llu",
		     role_names[role], state, scene->stage->actor[role].state, (unsigned long long)scene->stage->actor[0].turns,
		     scene->stage->epoch, (unsigned long long)scene->stage->synced[scene->stage->epoch],
		     (unsigned long long)scene->stage->actor[1].turns, scene->stage->seen_epoch,
		     (unsigned long long)scene->stage->seen_next, (unsigned long long)scene->stage->credit);
		nap_us(100);
	}
}

static bool wait_for_trap(struct scene *scene, enum role role)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (!look_after(scene, role)) {
		if (!scene->pid[role])
			return false;
		look_after(scene, !role);
		must(now_ms() < deadline, "the %s does not come to its trap", role_names[role]);
		nap_us(50);
	}
	return true;
}

/* One instruction, or up to the next system call's edge.  False: it has ended, or is past all system calls (a sender that
 * spins on a full ring makes none). */
static bool advance(struct scene *scene, enum role role, int how)
{
	int64_t deadline = now_ms() + 50;
	int status;
	pid_t got = 0;

	if (ptrace(how, scene->pid[role], NULL, NULL) < 0)
		return false;
	while (got == 0 && now_ms() <= deadline)
		got = waitpid(scene->pid[role], &status, WNOHANG);
	if (got <= 0)
		return false;
	if (WIFSTOPPED(status)) {
		must(WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGCHLD, "the %s crashed under the microscope: %s", role_names[role],
		     strsignal(WSTOPSIG(status)));
		return true;
	}
	must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the %s failed under the microscope", role_names[role]);
	scene->pid[role] = 0;
	return false;
}

static void kill_actor(struct scene *scene, enum role role)
{
	if (!scene->pid[role]) {
		too_late++;
		return;
	}
	kill_now(scene->pid[role]);
	scene->pid[role] = 0;
	atomic_store(&scene->stage->actor[role].state, ABSENT);
	kills++;
}

/* From a trap on: some system calls, then some instructions. */
static void kill_after(struct scene *scene, enum role role, uint32_t calls, uint32_t steps)
{
	bool there = wait_for_trap(scene, role);

	for (uint32_t i = 0; i < calls && there; i++)
		there = advance(scene, role, PTRACE_SYSCALL);
	for (uint32_t i = 0; i < steps && there; i++)
		there = advance(scene, role, PTRACE_SINGLESTEP);
	kill_actor(scene, role);
}

/* ---- ways to die */

/* Nobody had the pipe any more: it went with its packets and its counters, and the next one starts afresh. */
static void forget_pipe(struct stage *stage)
{
	atomic_store(&stage->seen_epoch, atomic_load(&stage->epoch) + 1);
	atomic_store(&stage->seen_next, 0);
	atomic_store(&stage->drop_unread, 0);
	atomic_store(&stage->credit, 0);
}

static void kill_in_turn(struct scene *scene, enum role role)
{
	atomic_store(&scene->stage->actor[role].trap_loop, 1);
	kill_after(scene, role, 0, rng_scaled(&scene->rng, MAX_STEPS));
	kills_in_turn++;
}

static void kill_sometime(struct scene *scene, enum role role)
{
	nap_us(rng_scaled(&scene->rng, 3000));
	look_after(scene, SENDER);
	look_after(scene, RECEIVER);
	kill_actor(scene, role);
}

/* A successor that dies while it opens, as the cleaner of its predecessor; and perhaps the next one too. */
static void kill_in_open(struct scene *scene, enum role role)
{
	for (uint32_t n = 1 + rng_below(&scene->rng, 3); n; n--) {
		atomic_store(&scene->stage->actor[role].trap_open, 1);
		start(scene, role);
		kill_after(scene, role, rng_below(&scene->rng, MAX_CALLS), rng_below(&scene->rng, 2) ? rng_scaled(&scene->rng, 600) : 0);
		atomic_store(&scene->stage->actor[role].trap_open, 0);
		kills_in_open++;
	}
	if (!scene->pid[!role])
		forget_pipe(scene->stage);
}

static void kill_in_close(struct scene *scene, enum role role)
{
	kill_after(scene, role, rng_below(&scene->rng, 45), rng_below(&scene->rng, 2) ? rng_scaled(&scene->rng, 600) : 0);
	kills_in_close++;
}

static void kill_someone(struct scene *scene)
{
	uint32_t way = rng_below(&scene->rng, 3), who = rng_below(&scene->rng, 5);
	void (*how)(struct scene *, enum role) = way == 0 ? kill_in_turn : kill_sometime;

	if (who == 4) {
		how(scene, SENDER);
		how(scene, RECEIVER);
		forget_pipe(scene->stage);
	} else
		how(scene, who % 2);
	if (way == 2 || rng_below(&scene->rng, 3) == 0)
		for (int role = 0; role < 2; role++)
			if (!scene->pid[role])
				kill_in_open(scene, role);
	for (int i = 0; i < 2; i++) {
		enum role role = (enum role)i ^ rng_below(&scene->rng, 2);

		if (!scene->pid[role])
			start(scene, role);
	}
	for (int role = 0; role < 2; role++)
		if (!scene->pid[role])
			start(scene, role);
	wait_for(scene, SENDER, RUNNING);
	wait_for(scene, RECEIVER, RUNNING);
}

/* ---- a round */

/* The segment, a file for each member; bells only of pipes that there are. */
static void check_files(uint32_t members, const char *when)
{
	DIR *list = opendir(attack.dir);
	struct nmx__segment *seg;
	struct dirent *entry;
	uint32_t own = 0, record;

	must(list && nmx__seg_look(&seg, attack.dir, "default", NULL) == 0, "%s: no segment", when);
	while ((entry = readdir(list))) {
		const char *name = entry->d_name;
		bool is_own = strncmp(name, "default.m", 9) == 0;
		bool is_bell = sscanf(name, "default.b%u.", &record) == 1 && record < NMX__MAX_RECORDS &&
		               atomic_load(&seg->records[record].live);

		own += is_own;
		must(*name == '.' || strcmp(name, "default") == 0 || is_own || is_bell, "%s: %s is left", when, name);
	}
	nmx__seg_unlook(seg);
	closedir(list);
	must(own == members, "%s: %u files of members, not %u", when, own, members);
}

/* ---- a crowd: several come and go at once, some of them die of it */

enum { CROWD = 4 };

static void come_and_go(void *seed)
{
	struct rng rng = rng_of(*(uint64_t *)seed, (uint64_t)getpid());
	struct nmx_report why;
	struct nmx_port *port;

	for (int i = 0; i < 4; i++) {
		struct nmx_options o = { .tx_slots = 4, .rx_slots = 4 };
		char name[16];
		int err;

		snprintf(name, sizeof(name), "c%u%c1", rng_below(&rng, 3), "{}"[rng_below(&rng, 2)]);
		err = open_port(&port, name, &o, &why);
		must(err == 0 || err == NMX_ERR_BUSY, "one of a crowd: %s", why.text);
		if (err == 0)
			nmx_close(port);
	}
}

static void pass_a_crowd(struct scene *scene)
{
	uint64_t seed = rng_next(&scene->rng);
	pid_t pid[CROWD];

	for (int i = 0; i < CROWD; i++)
		pid[i] = spawn(come_and_go, &seed);
	for (int i = 0; i < CROWD; i++)
		if (rng_below(&scene->rng, 2)) {
			nap_us(rng_scaled(&scene->rng, 1500));
			kill_now(pid[i]);
			kills_in_crowd++;
		} else
			reap_ok(pid[i], PATIENCE_MS, "one of a crowd");
}

static void run_for_a_while(struct scene *scene)
{
	for (uint32_t i = 0, n = rng_scaled(&scene->rng, 8); i < n; i++) {
		nap_us(500);
		for (int role = 0; role < 2; role++)
			must(!look_after(scene, role), "an unwanted trap");
	}
}

static void leave(struct scene *scene)
{
	int victim = rng_below(&scene->rng, 2) ? (int)rng_below(&scene->rng, 2) : -1;

	if (victim >= 0)
		atomic_store(&scene->stage->actor[victim].trap_close, 1);
	atomic_store(&scene->stage->leave, 1);
	if (victim >= 0)
		kill_in_close(scene, victim);
	for (int role = 0; role < 2; role++)
		if (scene->pid[role])
			wait_for(scene, role, CLOSED);
	for (int role = 0; role < 2; role++) {
		if (scene->pid[role])
			reap_ok(scene->pid[role], PATIENCE_MS, role_names[role]);
		scene->pid[role] = 0;
	}
	if (victim >= 0)
		must_work("after a death in close");
	must(count_files(attack.dir, "") == 0, "after all have closed, files are left");
}

static void set_up(struct scene *scene, uint32_t round)
{
	struct stage *stage = scene->stage;

	memset(stage, 0, sizeof(*stage));
	scene->rng = rng_of(attack.seed, round);
	stage->seed = rng_next(&scene->rng);
	for (int i = 0; i < 2; i++)
		stage->slots[i] = rng_below(&scene->rng, 3) ? 2 + rng_scaled(&scene->rng, 30) : 3 + rng_below(&scene->rng, 254);
	stage->mode = (enum mode)(round % MODES);
	stage->extra_bufs = stage->mode == PUT || stage->mode == TAKE ? 1 + rng_below(&scene->rng, 8) : rng_below(&scene->rng, 3);
	stage->batch = rng_scaled(&scene->rng, 64);
	stage->max_len = 64 + rng_scaled(&scene->rng, 1900);
	atomic_store(&stage->seen_epoch, 1); /* the first sender's */
}

static void run_round(struct scene *scene)
{
	struct stage *stage = scene->stage;

	if (rng_below(&scene->rng, 4) == 0)
		kill_in_open(scene, rng_below(&scene->rng, 2)); /* as the maker of the segment */
	start(scene, SENDER);
	start(scene, RECEIVER);
	wait_for(scene, SENDER, RUNNING);
	wait_for(scene, RECEIVER, RUNNING);
	for (uint32_t n = 1 + rng_below(&scene->rng, 3); n; n--) {
		run_for_a_while(scene);
		if (rng_below(&scene->rng, 3) == 0)
			pass_a_crowd(scene);
		kill_someone(scene);
		check_files(2, "after a successor has opened");
	}
	run_for_a_while(scene);
	atomic_store(&stage->stop, 1);
	wait_for(scene, SENDER, QUIET);
	wait_for(scene, RECEIVER, QUIET);
	must_add_up("when all is quiet", NULL);
	check_files(2, "when all is quiet");
	leave(scene);
	sent += atomic_load(&stage->sent_total);
	received += atomic_load(&stage->received_total);
	lost += atomic_load(&stage->lost_total);
}

/* Members that single-step others are traced or trace: LeakSanitizer cannot work there. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; }

int main(int argc, char **argv)
{
	struct scene scene = { 0 };

	attack_begin("kill", argc, argv, 100, 0);
	scene.stage = mmap(NULL, sizeof(*scene.stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(scene.stage != MAP_FAILED, "no memory");
	for (attack.round = 0; attack.round < attack.count; attack.round++) {
		if (!attack_wants(attack.round))
			continue;
		set_up(&scene, attack.round);
		run_round(&scene);
	}
	return attack_end("%u rounds, %u kills (%u in a turn, %u in open, %u in close, %u came too late; and %u of a crowd), %llu packets sent, %llu received, "
	                  "%llu counted as lost with their receiver",
	                  attack.count, kills, kills_in_turn, kills_in_open, kills_in_close, too_late, kills_in_crowd, (unsigned long long)sent,
	                  (unsigned long long)received, (unsigned long long)lost);
}
