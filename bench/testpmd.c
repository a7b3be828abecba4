/* SPDX-License-Identifier: MIT OR Apache-2.0 */
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

#include "bench.h"
#include "testpmd.h"

enum { MOST_WORDS = 40 };
#define PROMPT "testpmd> "

const char *find_testpmd(void)
{
	static const char *const places[] = { "/usr/bin/dpdk-testpmd", "/usr/local/bin/dpdk-testpmd" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static void exec_testpmd(const struct testpmd_setup *s)
{
	char line[1024], *rest = line, *words[MOST_WORDS + 1] = { NULL };
	int cpu = sched_getcpu();

	snprintf(line, sizeof(line),
	         "%s --lcores 0@%d,1@%d --no-pci --no-huge --no-shconf -m 256 --no-telemetry --log-level=3 %s"
	         " -- -i --nb-cores=1 --no-mlockall --total-num-mbufs=16384 --disable-link-check --rxd=%u --txd=%u"
	         " --burst=%u %s",
	         find_testpmd(), cpu, cpu, s->devices, s->slots, s->slots, s->batch, s->mode);
	for (int n = 0; n < MOST_WORDS && (words[n] = strsep(&rest, " ")); n++)
		;
	setenv("RUNTIME_DIRECTORY", s->directory, 1); /* otherwise it makes /run/dpdk, and leaves it behind */
	execv(words[0], words);
	die(words[0], strerror(errno));
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

/* On a terminal of its own, where it writes line by line. */
void testpmd_start(struct testpmd *t, const struct testpmd_setup *setup)
{
	int terminal;

	t->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->terminal < 0 || grantpt(t->terminal) < 0 || unlockpt(t->terminal) < 0 || (t->pid = fork()) < 0)
		die("dpdk-testpmd", strerror(errno));
	if (t->pid > 0) {
		hear(t);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	terminal = open(ptsname(t->terminal), O_RDWR);
	if (terminal < 0)
		die("dpdk-testpmd", "no terminal");
	for (int fd = 0; fd <= 2; fd++)
		dup2(terminal, fd);
	exec_testpmd(setup);
}

static void say(struct testpmd *t, const char *command)
{
	if (write(t->terminal, command, strlen(command)) < 0)
		die("dpdk-testpmd", "does not listen");
}

const char *testpmd_say(struct testpmd *t, const char *command)
{
	say(t, command);
	hear(t);
	return t->text;
}

void testpmd_quit(struct testpmd *t)
{
	int status;

	say(t, "quit\n");
	while (read(t->terminal, t->text, sizeof(t->text)) > 0)
		;
	close(t->terminal);
	if (waitpid(t->pid, &status, 0) < 0 || !WIFEXITED(status))
		die("dpdk-testpmd", "did not end well");
}
