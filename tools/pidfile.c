/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "clock.h"

#define POLL_MS 10

/* Locks of the process, not of the open file: only these tell who has them. */
static struct flock whole_file(void) { return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET }; }

static int open_file(const char *path, int flags)
{
	return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

/* Whether the file is still the one of that name: who had it may have removed it before we had the lock. */
static bool is_there(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

static pid_t holder(int fd)
{
	struct flock lock = whole_file();

	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -1;
	if (lock.l_type == F_UNLCK)
		return 0;
	if (lock.l_pid > 0)
		return lock.l_pid;
	errno = EPERM; /* a process that we do not see: of another PID namespace */
	return -1;
}

/* 1: the lock is ours; 0: somebody has it; -1 with errno. */
static int try_lock(int fd)
{
	struct flock lock = whole_file();

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return 1;
	return errno == EACCES || errno == EAGAIN ? 0 : -1;
}

static int write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len ? 0 : -1;
}

static void close_keeping_errno(int fd)
{
	int reason = errno;

	close(fd);
	errno = reason;
}

enum { AGAIN = -2 };

static pid_t try_to_take(struct pidfile *file)
{
	pid_t who = AGAIN; /* if it was removed, or let go, between two of these steps */
	int locked;

	file->fd = open_file(file->path, O_CREAT);
	if (file->fd < 0)
		return -1;
	locked = try_lock(file->fd);
	if (locked < 0 || (locked == 0 && (who = holder(file->fd)) < 0))
		who = -1;
	else if (locked > 0 && is_there(file->fd, file->path))
		who = write_pid(file->fd);
	else if (who == 0)
		who = AGAIN;
	if (who != 0)
		close_keeping_errno(file->fd);
	return who;
}

pid_t pidfile_take(struct pidfile *file, const char *path)
{
	pid_t who;

	snprintf(file->path, sizeof(file->path), "%s", path);
	do
		who = try_to_take(file);
	while (who == AGAIN);
	return who;
}

void pidfile_leave(struct pidfile *file)
{
	unlink(file->path); /* before the lock is gone: after that it could be the next one's */
	close(file->fd);
}

pid_t pidfile_holder(const char *path)
{
	int fd = open_file(path, 0);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	pid_t who = holder(fd);
	close_keeping_errno(fd);
	return who;
}

/* Not by its number, where the system lets us hold on to a process: between a look at the lock and the signal the number
 * could become another's.  Who has the lock still after we hold on to it is the right one. */
static int ask_to_end(int fd, pid_t pid)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
	int process = (int)syscall(SYS_pidfd_open, pid, 0), sent = -1;

	if (process >= 0) {
		errno = ESRCH;
		if (holder(fd) == pid)
			sent = (int)syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0);
		close_keeping_errno(process);
		return sent;
	}
	if (errno != ENOSYS)
		return -1;
#endif
	errno = ESRCH;
	return holder(fd) == pid ? kill(pid, SIGTERM) : -1;
}

static int wait_for_end(int fd, pid_t pid, int timeout_ms)
{
	for (int ms = 0; holder(fd) == pid; ms += POLL_MS) {
		if (ms >= timeout_ms) {
			errno = ETIMEDOUT;
			return -1;
		}
		clock_sleep(POLL_MS * CLOCK_MS);
	}
	return 0;
}

/* What a killed process left: not if somebody takes it now. */
static void remove_abandoned(int fd, const char *path)
{
	if (try_lock(fd) > 0 && is_there(fd, path))
		unlink(path);
}

int pidfile_stop(const char *path, int timeout_ms)
{
	int fd = open_file(path, 0), result = -1;
	pid_t pid;

	if (fd < 0) {
		errno = errno == ENOENT ? ESRCH : errno;
		return -1;
	}
	pid = holder(fd);
	if (pid == 0) {
		remove_abandoned(fd, path);
		errno = ESRCH;
	} else if (pid > 0 && ask_to_end(fd, pid) == 0)
		result = wait_for_end(fd, pid, timeout_ms);
	close_keeping_errno(fd);
	return result;
}
