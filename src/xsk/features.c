/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xsk/features.h"
#include "xsk/request.h"

/* <linux/netdev.h> is younger than the systems that this is built on. */
enum { DEV_GET = 1, DEV_IFINDEX = 1, DEV_XDP_FEATURES = 3, NETDEV_VERSION = 1, MAX_ATTRIBUTES = 16 };

static void read_family(const struct nlmsghdr *message, void *arg)
{
	const struct rtattr *table[MAX_ATTRIBUTES];
	uint16_t *family = arg;

	nmx__attributes(message, sizeof(struct genlmsghdr), table, MAX_ATTRIBUTES);
	if (table[CTRL_ATTR_FAMILY_ID] && RTA_PAYLOAD(table[CTRL_ATTR_FAMILY_ID]) >= sizeof(*family))
		memcpy(family, RTA_DATA(table[CTRL_ATTR_FAMILY_ID]), sizeof(*family));
}

static void read_features(const struct nlmsghdr *message, void *arg)
{
	const struct rtattr *table[MAX_ATTRIBUTES];
	uint64_t *features = arg;

	nmx__attributes(message, sizeof(struct genlmsghdr), table, MAX_ATTRIBUTES);
	if (table[DEV_XDP_FEATURES] && RTA_PAYLOAD(table[DEV_XDP_FEATURES]) >= sizeof(*features))
		memcpy(features, RTA_DATA(table[DEV_XDP_FEATURES]), sizeof(*features));
}

static int ask(int fd, int ifindex, uint64_t *features)
{
	struct genlmsghdr head = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
	struct nmx__request request;
	uint16_t family = 0;
	int err;

	nmx__request_begin(&request, GENL_ID_CTRL, NLM_F_REQUEST, &head, sizeof(head));
	nmx__request_put_text(&request, CTRL_ATTR_FAMILY_NAME, "netdev");
	err = nmx__request_send(fd, &request, read_family, &family);
	if (err < 0 || !family)
		return err < 0 ? err : -ENOENT;
	head = (struct genlmsghdr){ .cmd = DEV_GET, .version = NETDEV_VERSION };
	nmx__request_begin(&request, family, NLM_F_REQUEST, &head, sizeof(head));
	nmx__request_put_u32(&request, DEV_IFINDEX, (uint32_t)ifindex);
	return nmx__request_send(fd, &request, read_features, features);
}

int nmx__xdp_features(int ifindex, uint64_t *features)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), err;

	*features = 0;
	if (fd < 0)
		return -errno;
	err = ask(fd, ifindex, features);
	close(fd);
	return err;
}

void nmx__xdp_prog_name(uint32_t prog_id, char *out, size_t size)
{
	union bpf_attr by_id = { .prog_id = prog_id }, attr;
	struct bpf_prog_info info;
	int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &by_id, sizeof(by_id));

	out[0] = '\0';
	if (fd < 0)
		return;
	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)(uintptr_t)&info;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0) {
		size_t len = strnlen(info.name, sizeof(info.name));

		len = len < size ? len : size - 1;
		memcpy(out, info.name, len);
		out[len] = '\0';
	}
	close(fd);
}
