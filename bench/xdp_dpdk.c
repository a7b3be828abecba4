/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* DPDK's af_xdp driver through dpdk-testpmd, which is driven as a person would: commands in, text out. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xdp.h"

enum { MOST_ARGS = 40 };
#define PROMPT "testpmd> "

struct testpmd {
	pid_t pid;
	int terminal;
	char text[1 << 16]; /* what it said last, cut at its prompt */
};

static const char *find_testpmd(void)
{
	static const char *const places[] = { "/usr/bin/dpdk-testpmd", "/usr/local/bin/dpdk-testpmd" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* Both of its threads on the contender's processor; the first sleeps in read while the other one forwards. */
static void exec_testpmd(const struct xdp_plan *plan)
{
	static char cpus[32], slots[2][16], length[32], batch[16];
	const char *args[MOST_ARGS] = { find_testpmd(), "--lcores", cpus, "--no-pci", "--no-huge", "--no-shconf", "-m", "256", "--no-telemetry",
		                        "--log-level=3", "--vdev=net_af_xdp0,iface=c0", NULL };
	static const char *const modes[] = { "--forward-mode=rxonly", "--forward-mode=rxonly", "--forward-mode=txonly", "--forward-mode=io" };
	int n = 0, cpu = sched_getcpu();

	snprintf(cpus, sizeof(cpus), "0@%d,1@%d", cpu, cpu);
	snprintf(slots[0], sizeof(slots[0]), "--rxd=%u", plan->slots);
	snprintf(slots[1], sizeof(slots[1]), "--txd=%u", plan->slots);
	snprintf(batch, sizeof(batch), "--burst=%u", plan->batch);
	snprintf(length, sizeof(length), "--txpkts=%u", plan->len);
	while (args[n])
		n++;
	if (plan->job == FORWARD)
		args[n++] = "--vdev=net_af_xdp1,iface=c1";
	args[n++] = "--";
	args[n++] = "-i";
	args[n++] = "--nb-cores=1";
	args[n++] = "--no-mlockall";
	args[n++] = "--total-num-mbufs=16384";
	args[n++] = modes[plan->job];
	args[n++] = slots[0];
	args[n++] = slots[1];
	args[n++] = batch;
	if (plan->job == TX)
		args[n++] = length;
	setenv("RUNTIME_DIRECTORY", plan->directory, 1); /* otherwise it makes /run/dpdk, and leaves it behind */
	execv(args[0], (char **)(uintptr_t)args);
	die(args[0], strerror(errno));
}

/* On a terminal of its own, where it writes line by line. */
static void start(struct testpmd *t, const struct xdp_plan *plan)
{
	int terminal;

	t->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->terminal < 0 || grantpt(t->terminal) < 0 || unlockpt(t->terminal) < 0 || (t->pid = fork()) < 0)
		die("dpdk-testpmd", strerror(errno));
	if (t->pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	terminal = open(ptsname(t->terminal), O_RDWR);
	if (terminal < 0)
		die("dpdk-testpmd", "no terminal");
	for (int fd = 0; fd <= 2; fd++)
		dup2(terminal, fd);
	exec_testpmd(plan);
}

/* Reads up to its prompt. */
static void hear(struct testpmd *t)
{
	size_t have = 0;

	t->text[0] = 0;
	while (have < sizeof(t->text) - 1) {
		ssize_t n = read(t->terminal, t->text + have, sizeof(t->text) - 1 - have);

		if (n <= 0) {
			fputs(t->text, stderr);
			die("dpdk-testpmd", "has ended by itself");
		}
		t->text[have += (size_t)n] = 0;
		if (have >= strlen(PROMPT) && strcmp(t->text + have - strlen(PROMPT), PROMPT) == 0)
			return;
	}
	die("dpdk-testpmd", "says too much");
}

static void say(struct testpmd *t, const char *command)
{
	if (write(t->terminal, command, strlen(command)) < 0)
		die("dpdk-testpmd", "does not listen");
}

static uint64_t number_after(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	return at ? strtoull(at + strlen(what), NULL, 10) : 0;
}

/* What it has received, whenever the parent asks: the time is taken half way. */
static void answer(struct testpmd *t, struct xdp_meeting *m)
{
	uint64_t before = now_ns();

	say(t, "show port stats 0\n");
	hear(t);
	m->count = number_after(t->text, "RX-packets:");
	m->count_at = before + (now_ns() - before) / 2;
	m->answered = m->asked;
}

static void dpdk_run(const struct xdp_plan *plan, struct xdp_meeting *m)
{
	static struct testpmd t;
	int status;

	start(&t, plan);
	hear(&t);
	say(&t, "start\n");
	hear(&t);
	atomic_fetch_add(&m->ready, 1);
	while (!stopped(m)) {
		if (m->asked != m->answered)
			answer(&t, m);
		usleep(500);
	}
	say(&t, "quit\n");
	while (read(t.terminal, t.text, sizeof(t.text)) > 0)
		;
	if (waitpid(t.pid, &status, 0) < 0 || !WIFEXITED(status))
		die("dpdk-testpmd", "did not end well");
}

static void dpdk_missing(const struct xdp_plan *plan, char *why, size_t size)
{
	(void)plan;
	if (!find_testpmd())
		snprintf(why, size, "dpdk-testpmd is not installed (Debian: dpdk-dev, librte-net-af-xdp23)");
}

const struct contender dpdk_contender = { .name = "dpdk", .run = dpdk_run, .missing = dpdk_missing, .has_to_be_asked = true };
