/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What every benchmark needs: an end with a reason, a clock, processors, medians. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
