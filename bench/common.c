/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What every benchmark needs: an end with a reason, a clock, processors, processes, windows of time, medians. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

_Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void two_cpus(int cpu[2])
{
	cpu_set_t set;
	int found = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[found++] = i;
	if (found < 2)
		die("pinning", "two processors are needed");
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap", strerror(errno));
	return memory;
}

pid_t fork_pinned(int cpu)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) < 0)
		die("fork", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	return 0;
}

void wait_for(const char *what, int processes)
{
	int status;

	for (int i = 0; i < processes; i++)
		if (waitpid(-1, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			die(what, "a run did not end well");
}

struct window window_open(const struct plan *plan)
{
	uint64_t now = now_ns();

	return (struct window){ .start = now + (uint64_t)(plan->seconds * 1e8), .end = now + (uint64_t)(plan->seconds * 1.1e9) };
}

bool window_over(struct window *w, uint64_t count, struct meeting *m)
{
	uint64_t now = now_ns();

	if (!w->began_at && now >= w->start) {
		w->end += now - w->start;
		w->began_at = now;
		w->before = count;
	}
	if (!w->began_at || now < w->end)
		return false;
	m->stop = 1;
	m->count = count - w->before;
	m->elapsed_ns = now - w->began_at;
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double quantile(double *values, int n, double q)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[(int)((n - 1) * q + 0.5)];
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A process that waits for the end of this one and of its children, whatever it is, and removes the directory. */
const char *temporary_directory(void)
{
	static char directory[] = "/dev/shm/nmx-bench-XXXXXX";
	int alive[2];
	pid_t pid;
	char byte;

	if (pipe2(alive, O_CLOEXEC) < 0 || !mkdtemp(directory))
		die(directory, strerror(errno));
	fflush(stdout);
	if ((pid = fork()) < 0)
		die("fork", strerror(errno));
	if (pid > 0) {
		close(alive[0]);
		return directory;
	}
	setsid();
	close(alive[1]);
	for (int fd = 0; fd <= 2; fd++) /* nobody is to wait for what it might say */
		close(fd);
	while (read(alive[0], &byte, 1) < 0 && errno == EINTR)
		;
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	_exit(0);
}

bool named_in(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}
