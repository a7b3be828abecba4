/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "xsk/rights.h"

#define INITIAL_USER_NAMESPACE 0xEFFFFFFDu /* its inode number, fixed in the kernel (PROC_USER_INIT_INO) */
#define CAPABILITY_BPF         39          /* from Linux 5.8 */

static const struct {
	unsigned right, capability;
	const char *upper, *lower;
} rights[] = {
	{ NMX__RIGHT_RAW, CAP_NET_RAW, "CAP_NET_RAW", "cap_net_raw" },
	{ NMX__RIGHT_BPF, CAPABILITY_BPF, "CAP_BPF", "cap_bpf" },
	{ NMX__RIGHT_ADMIN, CAP_NET_ADMIN, "CAP_NET_ADMIN", "cap_net_admin" },
	{ NMX__RIGHT_SYS, CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "cap_sys_admin" },
};
#define NUM_RIGHTS (sizeof(rights) / sizeof(rights[0]))

/* The effective set of this thread; 0 when it cannot be read. */
static uint64_t effective(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static unsigned held(void)
{
	uint64_t set = effective();
	unsigned has = 0;

	for (size_t i = 0; i < NUM_RIGHTS; i++)
		if (set & UINT64_C(1) << rights[i].capability)
			has |= rights[i].right;
	/* CAP_BPF was split off from it, and it still stands for both; before Linux 5.8 there is no other. */
	if (has & NMX__RIGHT_SYS)
		has |= NMX__RIGHT_BPF;
	return has;
}

unsigned nmx__rights_lacking(unsigned needed) { return needed & ~held(); }

/* Those that no file can give, since the container or service that we are in may not have them. */
static unsigned out_of_bounds(unsigned which)
{
	unsigned out = 0;

	for (size_t i = 0; i < NUM_RIGHTS; i++)
		if ((which & rights[i].right) && prctl(PR_CAPBSET_READ, rights[i].capability, 0, 0, 0) == 0)
			out |= rights[i].right;
	return out;
}

/* "CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN". */
static const char *sentence(unsigned which, char out[80])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NUM_RIGHTS; i++) {
		if (!(which & rights[i].right))
			continue;
		which &= ~rights[i].right;
		const char *after = !which ? "" : which & (which - 1) ? ", " : " and ";
		used += (size_t)snprintf(out + used, 80 - used, "%s%s", rights[i].upper, after);
	}
	return out;
}

/* "cap_net_raw,cap_bpf,cap_net_admin". */
static const char *list(unsigned which, char out[80])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NUM_RIGHTS; i++)
		if (which & rights[i].right)
			used += (size_t)snprintf(out + used, 80 - used, "%s%s", used ? "," : "", rights[i].lower);
	return out;
}

static void make_printable(char *text)
{
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* As a word of a shell; what would take up the report is not named. */
static const char *program_file(char out[200])
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+-";
	char path[196];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path));

	if (len <= 0 || (size_t)len >= sizeof(path))
		return "PROGRAM";
	path[len] = '\0';
	make_printable(path);
	const char *quote = path[strspn(path, plain)] ? "\"" : "";
	snprintf(out, 200, "%s%s%s", quote, path, quote);
	return out;
}

static bool in_initial_user_namespace(void)
{
	struct stat found;

	return stat("/proc/self/ns/user", &found) < 0 || found.st_ino == INITIAL_USER_NAMESPACE;
}

int nmx__rights_fail(struct nmx_report *why, unsigned needed, int sys_errno, const char *what)
{
	const unsigned lacking = nmx__rights_lacking(needed);
	char all[80], those[80], words[80], path[200];

	sentence(needed, all);
	sentence(lacking, those);
	if ((needed & (NMX__RIGHT_BPF | NMX__RIGHT_SYS)) && !in_initial_user_namespace())
		nmx__fail(why, NMX_ERR_PERMISSION, 0,
		          "%s: it needs %s, and only the capabilities of the initial user namespace count, "
		          "which this process is not in (container?)",
		          what, all);
	else if (!lacking)
		nmx__fail(why, NMX_ERR_PERMISSION, 0,
		          "%s: it needs %s; this process has that, but was refused all the same: only the "
		          "capabilities of the initial user namespace count, and a security module or a filter of "
		          "system calls may refuse (container?)",
		          what, all);
	else if (out_of_bounds(lacking))
		nmx__fail(why, NMX_ERR_PERMISSION, 0,
		          "%s: it needs %s, and this process lacks %s, which the container or service that it "
		          "runs in may not have: add it there (docker: --cap-add, systemd: CapabilityBoundingSet=)",
		          what, all, those);
	else /* with what it has already, for setcap replaces that */
		nmx__fail(why, NMX_ERR_PERMISSION, 0,
		          "%s: it needs %s, and this process lacks %s; as root: setcap %s+ep %s", what, all, those,
		          list(needed | held(), words), program_file(path));
	if (why)
		why->sys_errno = sys_errno;
	return NMX_ERR_PERMISSION;
}

/* An abstract address: it is in a network namespace and not in a file system, and gone with its last descriptor.
 * Anybody in the namespace may take such a name, with or without rights: hence it decides nothing but messages. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	const int len = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "nmx %s", name);

	if ((size_t)len >= sizeof(address->sun_path) - 1)
		return 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int unix_socket(void)
{
	int fd = nmx__fd_track(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	return fd < 0 ? -errno : fd;
}

int nmx__claim(const char *name)
{
	struct sockaddr_un address;
	const socklen_t len = address_of(name, &address);
	int fd, err;

	if (!len)
		return -ENAMETOOLONG;
	fd = unix_socket();
	if (fd < 0)
		return fd;
	/* Nobody accepts: each question about the holder stays in the queue until the claim ends, and when that is full
	 * the holder is not told any more. */
	if (bind(fd, (const struct sockaddr *)&address, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	err = -errno;
	nmx__fd_close(fd);
	return err;
}

/* Its name for people, "" when it has none. */
static void command_of(pid_t pid, char out[20])
{
	char path[40];
	ssize_t len = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, out, 19);
		close(fd);
	}
	out[len > 0 ? len : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	make_printable(out);
}

void nmx__claim_holder(const char *name, char *out, size_t size)
{
	struct sockaddr_un address;
	const socklen_t len = address_of(name, &address);
	struct ucred holder = { 0 };
	socklen_t holder_size = sizeof(holder);
	char command[20];
	int fd;

	if (size)
		out[0] = '\0';
	fd = len ? unix_socket() : -1;
	if (fd < 0)
		return;
	/* The kernel notes who listened, so that this cannot be forged, and it needs no answer. */
	if (connect(fd, (const struct sockaddr *)&address, len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &holder_size) == 0) {
		command_of(holder.pid, command);
		if (holder.pid <= 0)
			snprintf(out, size, "a process of another container");
		else
			snprintf(out, size, "%s (process %d)", command[0] ? command : "a program", (int)holder.pid);
	}
	nmx__fd_close(fd);
}
