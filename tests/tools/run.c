/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *nmx_path, *run_dir;
static int failures;
static bool pinned;
static void (*before_exec)(void *);
static void *before_exec_arg;

bool expect_failed(const char *file, int line, const char *condition, const char *format, ...)
{
	va_list args;

	failures++;
	fprintf(stderr, "%s:%d: not so: %s: ", file, line, condition);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

int expect_result(void)
{
	if (failures)
		fprintf(stderr, "%d failures\n", failures);
	return failures ? 1 : 0;
}

void sleep_ms(int ms) { nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL); }

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void child_pin(bool one_processor) { pinned = one_processor; }

void child_before_exec(void (*fn)(void *), void *arg)
{
	before_exec = fn;
	before_exec_arg = arg;
}

static void run_child(const struct child *child, const char *const *argv)
{
	cpu_set_t cpus;
	int null = open("/dev/null", O_RDONLY);

	if (pinned && sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
		int first = 0;

		while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &cpus))
			first++;
		CPU_ZERO(&cpus);
		CPU_SET(first, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	dup2(null, STDIN_FILENO);
	dup2(child->out_fd, STDOUT_FILENO);
	dup2(child->err_fd, STDERR_FILENO);
	if (before_exec)
		before_exec(before_exec_arg);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

void child_start(struct child *child, const char *const *argv)
{
	child->out_fd = memfd_create("out", MFD_CLOEXEC);
	child->err_fd = memfd_create("err", MFD_CLOEXEC);
	child->what = argv[1] ? argv[1] : argv[0];
	child->code = -1;
	child->out[0] = child->err[0] = '\0';
	fflush(NULL);
	child->pid = fork();
	if (child->pid == 0)
		run_child(child, argv);
	EXPECT(child->pid > 0, "fork: %s", strerror(errno));
}

static void read_all(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	text[got > 0 ? got : 0] = '\0';
}

static void look(struct child *child)
{
	read_all(child->out_fd, child->out, sizeof(child->out));
	read_all(child->err_fd, child->err, sizeof(child->err));
}

/* True: it has ended, and code is set. */
static bool has_ended(struct child *child)
{
	int status;

	if (child->code >= 0)
		return true;
	if (waitpid(child->pid, &status, WNOHANG) != child->pid)
		return false;
	child->code = WIFEXITED(status) ? WEXITSTATUS(status) : RUN_SIGNAL + WTERMSIG(status);
	return true;
}

bool child_is_running(struct child *child) { return !has_ended(child); }

int patience(int ms)
{
	const char *given = getenv("NMX_TEST_PATIENCE");
	long factor = given ? strtol(given, NULL, 10) : 1;

	return ms * (factor < 1 ? 1 : factor > 100 ? 100 : (int)factor);
}

int child_wait(struct child *child, int timeout_ms)
{
	int64_t deadline = now_ms() + patience(timeout_ms);
	int pause_us = 200;

	while (!has_ended(child) && now_ms() < deadline) {
		usleep((useconds_t)pause_us);
		pause_us = pause_us < 5000 ? pause_us * 2 : pause_us;
	}
	if (!has_ended(child)) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		child->code = RUN_TIMED_OUT;
	}
	look(child);
	close(child->out_fd);
	close(child->err_fd);
	child->out_fd = child->err_fd = -1;
	return child->code;
}

bool child_will_say(struct child *child, const char *text, int timeout_ms)
{
	for (int64_t deadline = now_ms() + patience(timeout_ms);; sleep_ms(5)) {
		bool ended = has_ended(child);

		look(child);
		if (strstr(child->out, text) || strstr(child->err, text))
			return true;
		if (ended || now_ms() >= deadline)
			return EXPECT(false, "%s did not say \"%s\" but:\n%s%s", child->what, text, child->out, child->err);
	}
}

bool child_says(const struct child *child, const char *text)
{
	return EXPECT(strstr(child->out, text) || strstr(child->err, text), "%s did not say \"%s\" but:\n%s%s", child->what, text,
	              child->out, child->err);
}

bool child_ends(struct child *child, int code)
{
	child_wait(child, 20000);
	return EXPECT(child->code == code, "%s: %d, not %d:\n%s%s", child->what, child->code, code, child->out, child->err);
}

/* ---- the directory */

static const char *remove_all(const char *path, bool itself)
{
	static char left[300];
	DIR *dir = opendir(path);
	struct dirent *entry;

	left[0] = '\0';
	while (dir && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(left, sizeof(left), "%s", entry->d_name);
		if (itself)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
	return left[0] ? left : NULL;
}

static char dir_name[64];

void run_begin(const char *path)
{
	/* No name in a test may ever lead to an interface that others use; without the right to do this, none can be
	 * opened either. */
	(void)!unshare(CLONE_NEWNET);
	snprintf(dir_name, sizeof(dir_name), "/dev/shm/nmx-test-XXXXXX");
	if (!mkdtemp(dir_name)) {
		printf("skipped: no directory can be made in /dev/shm: %s\n", strerror(errno));
		exit(SKIP);
	}
	nmx_path = path;
	run_dir = dir_name;
	atexit(run_end);
}

void run_end(void)
{
	if (!run_dir)
		return;
	remove_all(run_dir, true);
	rmdir(run_dir);
	run_dir = NULL;
}

bool run_dir_is_empty(void)
{
	const char *left = remove_all(run_dir, false);

	return EXPECT(!left, "\"%s\" was left in the directory", left);
}

void run_dir_clear(void) { remove_all(run_dir, true); }

int64_t json_number(const struct child *child, const char *key)
{
	char word[64];
	const char *at;

	snprintf(word, sizeof(word), "\"%s\": ", key);
	at = strstr(child->out, word);
	if (!EXPECT(at, "%s: no \"%s\" in:\n%s%s", child->what, key, child->out, child->err))
		return -1;
	return strtoll(at + strlen(word), NULL, 10);
}

bool json_has(const struct child *child, const char *key)
{
	char word[64];

	snprintf(word, sizeof(word), "\"%s\": ", key);
	return strstr(child->out, word);
}

void run_await_processes(unsigned processes)
{
	static struct child doctor;
	char text[32];

	snprintf(text, sizeof(text), " %u process%s,", processes, processes == 1 ? "" : "es");
	for (int tries = 0; tries < 500; tries++) {
		NMX_RUN(&doctor, "doctor", "--dir", run_dir);
		if (strstr(doctor.out, text))
			break;
		sleep_ms(10);
	}
	EXPECT(strstr(doctor.out, text), "%s did not come: %s", text, doctor.out);
}
