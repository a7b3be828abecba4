/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Files and directories that are not what they should be, and file systems that are full. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exhaustion.h"
#include "shm/lock.h"
#include "shm/segment.h"

/* ---- the segment's file is something else */

static char *path_of(const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", attack.dir, file);
	return path;
}

static void write_file(const void *data, size_t bytes, off_t length)
{
	int fd = open(path_of("default"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && ftruncate(fd, length) == 0, "cannot write the file: %m");
	close(fd);
}

static const struct nmx__seg_header good = { .magic = NMX__SEG_MAGIC, .version = NMX__SHM_VERSION, .num_bufs = SEGMENT_BUFS,
	                                     .buf_stride = NMX__BUF_LEN, .id = 1 };

static void put_other_version(void)
{
	struct nmx__seg_header header = good;

	header.version = NMX__SHM_VERSION + 1;
	write_file(&header, sizeof(header), 1 << 20);
}

static void put_garbage(void)
{
	uint64_t data[1024];
	struct rng rng = rng_of(attack.seed, 77);

	for (int i = 0; i < 1024; i++)
		data[i] = rng_next(&rng);
	write_file(data, sizeof(data), sizeof(data));
}

static void put_no_geometry(void)
{
	struct nmx__seg_header header = good;

	header.num_bufs = ~0u;
	write_file(&header, sizeof(header), 1 << 20);
}

static void put_truncated(void) { write_file(&good, sizeof(good), 1 << 20); }
static void put_a_few_bytes(void) { write_file("nmx", 3, 3); }
static void put_directory(void) { must(mkdir(path_of("default"), 0700) == 0, "mkdir: %m"); }
static void put_fifo(void) { must(mkfifo(path_of("default"), 0600) == 0, "mkfifo: %m"); }
static void put_link(void) { must(symlink("/etc/passwd", path_of("default")) == 0, "symlink: %m"); }
static void put_dangling_link(void) { must(symlink("elsewhere", path_of("default")) == 0, "symlink: %m"); }

static void remove_default(void)
{
	if (unlink(path_of("default")) < 0)
		must(rmdir(path_of("default")) == 0, "cannot remove the file: %m");
}

static void must_refuse(const char *what, void (*put)(void))
{
	struct holdings before;
	struct nmx_report why;
	struct nmx_port *port;
	int err;

	put();
	before = snapshot();
	err = open_port(&port, "x{1", NULL, &why);
	must(err == NMX_ERR_CORRUPT || err == NMX_ERR_PERMISSION, "the file is %s: %s: %s", what, nmx_error_name(err), why.text);
	must_explain(err, &why, what);
	must(strstr(why.text, attack.dir) != NULL, "%s: the file is not named: %s", what, why.text);
	must_hold(&before, what);
	remove_default();
	must_work(what);
}

uint32_t wrong_files(void)
{
	static const struct {
		const char *what;
		void (*put)(void);
	} cases[] = {
		{ "of another version", put_other_version }, { "garbage", put_garbage },
		{ "without geometry", put_no_geometry },     { "truncated", put_truncated },
		{ "a few bytes", put_a_few_bytes },          { "a directory", put_directory },
		{ "a FIFO", put_fifo },                      { "a link", put_link },
		{ "a link to nothing", put_dangling_link },
	};
	uint32_t n = sizeof(cases) / sizeof(cases[0]);

	for (uint32_t i = 0; i < n; i++)
		must_refuse(cases[i].what, cases[i].put);
	/* What somebody died over while making it is finished. */
	write_file("", 0, 0);
	must_work("the file is empty");
	write_file(&good, sizeof(good), NMX__PAGE);
	must_work("the file is a header alone");
	must(count_files(attack.dir, "") == 0, "files are left");
	return n + 2;
}

/* ---- the directory */

static void must_refuse_directory(const char *what, const char *directory, int expected)
{
	struct nmx_options o = { .directory = directory };
	struct holdings before = snapshot();
	struct nmx_report why;
	struct nmx_port *port;
	int err = open_port(&port, "x{1", &o, &why);

	must(err == expected, "%s: %s (%s), expected %s", what, nmx_error_name(err), why.text, nmx_error_name(expected));
	must_explain(err, &why, what);
	must(strstr(why.text, directory) != NULL, "%s: \"%s\" is not named: %s", what, directory, why.text);
	must_hold(&before, what);
}

uint32_t wrong_directories(void)
{
	char sub[128], link[128], file[128];

	snprintf(sub, sizeof(sub), "%s/sub", attack.dir);
	snprintf(link, sizeof(link), "%s/link", attack.dir);
	snprintf(file, sizeof(file), "%s/file", attack.dir);
	must_refuse_directory("missing", sub, NMX_ERR_NO_SUCH);
	must(mkdir(sub, 0700) == 0 && symlink("sub", link) == 0, "cannot set up: %m");
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	must_refuse_directory("a link", link, NMX_ERR_NO_SUCH);
	must_refuse_directory("a file", file, NMX_ERR_NO_SUCH);
	must(chmod(sub, 0777) == 0, "chmod: %m");
	must_refuse_directory("everybody's", sub, NMX_ERR_PERMISSION);
	must(chmod(sub, 0700) == 0, "chmod: %m");
	if (geteuid() == 0 && chown(sub, 65534, 65534) == 0)
		must_refuse_directory("somebody else's", sub, NMX_ERR_PERMISSION);
	rmdir(sub);
	unlink(link);
	unlink(file);
	must_work("after wrong directories");
	return 5;
}

/* ---- full file systems */

static bool mount_small(const char *where, uint32_t kib)
{
	char options[32];

	snprintf(options, sizeof(options), "size=%uk,mode=700", kib);
	return mount("tmpfs", where, "tmpfs", 0, options) == 0;
}

/* In a mount namespace of its own, for nothing to stay. */
static void fill_disk(void *kib_)
{
	uint32_t kib = *(uint32_t *)kib_;
	struct nmx_options o = { .tx_slots = 128, .rx_slots = 128 };
	struct nmx_port *a, *b;
	struct nmx_report why;
	struct nmx_tx *tx;
	struct holdings before;
	int err;

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		exit(SKIP);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mount_small(attack.dir, kib))
		exit(SKIP);
	before = snapshot();
	err = open_port(&a, "x{1", &o, &why);
	if (err < 0) {
		must_explain(err, &why, "a full file system");
		must(err == NMX_ERR_NO_MEMORY && strstr(why.text, attack.dir), "%u KiB: %s: %s", kib, nmx_error_name(err), why.text);
		must_hold(&before, "a full file system");
		return;
	}
	/* What could be opened can be used to the last slot: space was set aside. */
	must(nmx_tx_ring(a, 0, &tx) == 0, "no ring");
	for (uint8_t data[2048] = { 0 }; nmx_tx_send(tx, data, sizeof(data)) == 0;)
		continue;
	must(nmx_tx_sync(tx) >= 0, "cannot send on a full file system");
	err = open_port(&b, "x}1", &o, &why);
	if (err == 0)
		nmx_close(b);
	else
		must_explain(err, &why, "a full file system");
	nmx_tx_close(tx);
	nmx_close(a);
	must_hold(&before, "an almost full file system");
}

uint32_t full_disks(void)
{
	uint32_t n = 0;

	for (uint32_t kib = 4; kib <= 3072; kib += kib < 512 ? 36 : 180, n++) {
		int status = reap(spawn(fill_disk, &kib), 20000, "the one on a full disk");

		attack.round = kib;
		if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP)
			return 0;
		must(WIFEXITED(status), "crashed on a file system of %u KiB: %s", kib, strsignal(WTERMSIG(status)));
		must(WEXITSTATUS(status) == 0, "failed on a file system of %u KiB", kib);
	}
	return n;
}

/* ---- member ids */

static struct nmx__segment *anchor_seg;
static int fake_fd[NMX__MAX_MEMBERS];
static uint32_t num_fakes;

/* Ids with a file that a descriptor of ours keeps locked: to others they live. */
uint32_t fake_members(void)
{
	struct nmx_report why;
	struct rlimit limit;

	/* The members must be others': this process itself has one id however many ports it opens. */
	must(nmx__seg_get(&anchor_seg, attack.dir, NULL, SEGMENT_BUFS, &why) == 0, "%s", why.text);
	getrlimit(RLIMIT_NOFILE, &limit);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ limit.rlim_max, limit.rlim_max });
	num_fakes = 0;
	for (uint32_t id = 0; id < NMX__MAX_MEMBERS; id++) {
		char file[NMX__FILE_NAME_MAX];

		if (atomic_load(&anchor_seg->members[id].gen))
			continue;
		nmx__seg_file(anchor_seg, file, "m%u", id);
		fake_fd[num_fakes] = openat(anchor_seg->dir.fd, file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		must(fake_fd[num_fakes] >= 0, "cannot make a member's file: %m (id %u)", id);
		nmx__lock_try(fake_fd[num_fakes++], NMX__LOCK_LIFE);
		atomic_store(&anchor_seg->members[id].gen, 12345);
	}
	return num_fakes;
}

void release_fake_members(void)
{
	for (uint32_t i = 0; i < num_fakes; i++)
		close(fake_fd[i]); /* they die, and are cleaned away by whoever comes */
	nmx__seg_put(anchor_seg);
}
