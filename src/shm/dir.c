/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "shm/dir.h"

/* tmpfs where there is one: segments can then be used by interfaces too, and never reach a disk. */
static void default_path(char *path, size_t size)
{
	struct stat st;
	const char *parent = stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode) ? "/dev/shm" : "/tmp";

	snprintf(path, size, "%s/nmx-%u", parent, (unsigned)geteuid());
}

static int explain_open(const struct nmx__dir *dir, bool made_by_us, int sys_errno, struct nmx_report *why)
{
	struct stat st;

	switch (sys_errno) {
	case ENOENT:
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0,
		                 made_by_us ? "the directory \"%s\" cannot be made: is the one above it there?"
		                            : "the directory \"%s\" does not exist; make it, with mkdir -m 700",
		                 dir->path);
	case ELOOP:
	case EMLINK: /* FreeBSD's for that */
	case ENOTDIR:
		if (lstat(dir->path, &st) == 0 && S_ISLNK(st.st_mode))
			return nmx__fail(why, NMX_ERR_NO_SUCH, 0,
			                 "\"%s\" is a link, and a link could lead anywhere; name the directory itself", dir->path);
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "\"%s\" is not a directory", dir->path);
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, sys_errno, "cannot open the directory \"%s\"", dir->path);
	case EACCES:
	case EPERM:
		return nmx__fail(why, NMX_ERR_PERMISSION, sys_errno, "cannot open the directory \"%s\"", dir->path);
	default:
		return nmx__fail(why, NMX_ERR_IO, sys_errno, "cannot open the directory \"%s\"", dir->path);
	}
}

/* A directory that others can write into is theirs to fill with anything.  One that is given by name may be shared
 * with a group, on purpose: docs/security.md. */
static int check_owner(struct nmx__dir *dir, bool is_default, const struct stat *st, struct nmx_report *why)
{
	bool shared = (st->st_mode & S_IWGRP) != 0;

	if (st->st_mode & S_IWOTH)
		return nmx__fail(why, NMX_ERR_PERMISSION, 0,
		                 "everybody may write to the directory \"%s\"; keep it to its owner, with chmod 700", dir->path);
	if (is_default && (st->st_mode & 077))
		return nmx__fail(why, NMX_ERR_PERMISSION, 0,
		                 "others have access to the directory \"%s\"; keep it to its owner, with chmod 700", dir->path);
	if (st->st_uid != geteuid() && (is_default || !shared))
		return nmx__fail(why, NMX_ERR_PERMISSION, 0,
		                 "the directory \"%s\" belongs to user %u, and this is user %u; name another one with NMX_DIR, or let "
		                 "its owner share it with a group: chmod 2770",
		                 dir->path, (unsigned)st->st_uid, (unsigned)geteuid());
	dir->file_mode = shared ? 0660 : 0600;
	return 0;
}

int nmx__dir_open(struct nmx__dir *dir, const char *directory, struct nmx_report *why)
{
	const char *given = directory ? directory : getenv("NMX_DIR");
	bool is_default = !given || !*given;
	struct stat st;
	int err;

	if (is_default)
		default_path(dir->path, sizeof(dir->path));
	else if ((size_t)snprintf(dir->path, sizeof(dir->path), "%s", given) >= sizeof(dir->path))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "the directory \"%.40s...\" is longer than %zu characters", given,
		                 sizeof(dir->path) - 1);
	if (is_default && mkdir(dir->path, 0700) < 0 && errno != EEXIST)
		return explain_open(dir, true, errno, why);
	dir->fd = nmx__fd_track(open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (dir->fd < 0)
		return explain_open(dir, is_default, errno, why);
	if (fstat(dir->fd, &st) < 0)
		err = nmx__fail(why, NMX_ERR_IO, errno, "cannot look at the directory \"%s\"", dir->path);
	else
		err = check_owner(dir, is_default, &st, why);
	if (err < 0)
		nmx__dir_close(dir);
	return err;
}

void nmx__dir_close(struct nmx__dir *dir)
{
	nmx__fd_close(dir->fd);
	dir->fd = -1;
}

int nmx__dir_reopen(const struct nmx__dir *dir, const char *file, int fd)
{
	int again = nmx__fd_openat(dir->fd, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	struct stat is, was;

	if (again < 0 || (fstat(again, &is) == 0 && fstat(fd, &was) == 0 && is.st_dev == was.st_dev && is.st_ino == was.st_ino))
		return again;
	nmx__fd_close(again);
	errno = ESTALE;
	return -1;
}
