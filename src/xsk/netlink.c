/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fork.h"
#include "xsk/netlink.h"
#include "xsk/request.h"

enum { VETH_MTU_MAX = 65535 };

int nmx__nl_open(uint32_t groups)
{
	struct sockaddr_nl here = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd =
	    nmx__fd_track(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups ? SOCK_NONBLOCK : 0), NETLINK_ROUTE));
	int one = 1, err;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one,
	                 sizeof(one)); /* else requests come back with errors */
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) == 0)
		return fd;
	err = -errno;
	nmx__fd_close(fd);
	return err;
}

int nmx__nl_netns(int fd)
{
	int netns;

	nmx__fork_hold();
	netns = nmx__fd_track_held(ioctl(fd, SIOCGSKNS)); /* close-on-exec */
	nmx__fork_let();
	return netns < 0 ? -errno : netns;
}

/* --- looking --- */

static void read_xdp(const struct rtattr *xdp, struct nmx__link *link)
{
	static const uint16_t ids[] = { IFLA_XDP_PROG_ID, IFLA_XDP_DRV_PROG_ID, IFLA_XDP_SKB_PROG_ID,
		                        IFLA_XDP_HW_PROG_ID };
	const struct rtattr *a[IFLA_XDP_HW_PROG_ID + 1];

	nmx__attributes_within(xdp, a, IFLA_XDP_HW_PROG_ID + 1);
	link->xdp_mode = nmx__attribute_u8(a[IFLA_XDP_ATTACHED]);
	/* With programs in several modes (XDP_ATTACHED_MULTI) each has its own attribute only. */
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !link->xdp_prog; i++)
		link->xdp_prog = nmx__attribute_u32(a[ids[i]]);
}

static void read_link(const struct nlmsghdr *message, void *arg)
{
	struct nmx__link *link = arg;
	const struct rtattr *a[IFLA_XDP + 1], *info[IFLA_INFO_KIND + 1];
	struct ifinfomsg about;

	if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof(about)))
		return;
	memcpy(&about, NLMSG_DATA(message), sizeof(about));
	nmx__attributes(message, sizeof(about), a, IFLA_XDP + 1);
	nmx__attributes_within(a[IFLA_LINKINFO], info, IFLA_INFO_KIND + 1);
	link->ifindex = about.ifi_index;
	link->flags = about.ifi_flags;
	link->mtu = nmx__attribute_u32(a[IFLA_MTU]);
	link->num_rx_queues = nmx__attribute_u32(a[IFLA_NUM_RX_QUEUES]);
	link->num_tx_queues = nmx__attribute_u32(a[IFLA_NUM_TX_QUEUES]);
	nmx__attribute_text(a[IFLA_IFNAME], link->name, sizeof(link->name));
	nmx__attribute_text(a[IFLA_IFALIAS], link->alias, sizeof(link->alias));
	nmx__attribute_text(info[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	read_xdp(a[IFLA_XDP], link);
	if (strcmp(link->kind, "veth") == 0 && !a[IFLA_LINK_NETNSID])
		link->peer_ifindex = (int)nmx__attribute_u32(a[IFLA_LINK]);
	if (a[IFLA_STATS64]) {
		size_t bytes = RTA_PAYLOAD(a[IFLA_STATS64]);

		/* The kernel's may be longer than ours, or shorter. */
		memcpy(&link->stats, RTA_DATA(a[IFLA_STATS64]),
		       bytes < sizeof(link->stats) ? bytes : sizeof(link->stats));
	}
}

int nmx__nl_link(int fd, const char *name, int ifindex, struct nmx__link *link)
{
	struct ifinfomsg about = { .ifi_family = AF_UNSPEC, .ifi_index = name ? 0 : ifindex };
	struct nmx__request request;
	int err;

	memset(link, 0, sizeof(*link));
	if (name ? !*name || strlen(name) >= IFNAMSIZ : ifindex <= 0)
		return -ENODEV;
	nmx__request_begin(&request, RTM_GETLINK, 0, &about, sizeof(about));
	if (name)
		nmx__request_put_text(&request, IFLA_IFNAME, name);
	err = nmx__request_send(fd, &request, read_link, link);
	return err == 0 && !link->ifindex ? -ENODEV : err;
}

/* What one datagram of news says. */
static enum nmx__nl_news read_news(const uint8_t *bytes, size_t len, int ifindex)
{
	enum nmx__nl_news news = NMX__NL_NOTHING;

	for (size_t at = 0; len - at >= NLMSG_LENGTH(sizeof(struct ifinfomsg));) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)(bytes + at);
		struct ifinfomsg about;

		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(about)) || h->nlmsg_len > len - at)
			break;
		memcpy(&about, NLMSG_DATA(h), sizeof(about));
		at += NLMSG_ALIGN(h->nlmsg_len) < len - at ? NLMSG_ALIGN(h->nlmsg_len) : len - at;
		/* A port that leaves a bridge is a RTM_DELLINK too, of another family. */
		if (about.ifi_index != ifindex || about.ifi_family != AF_UNSPEC)
			continue;
		if (h->nlmsg_type == RTM_DELLINK)
			return NMX__NL_GONE;
		if (h->nlmsg_type == RTM_NEWLINK)
			news = NMX__NL_CHANGED;
	}
	return news;
}

enum nmx__nl_news nmx__nl_news(int fd, int ifindex)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[32768];
	enum nmx__nl_news news = NMX__NL_NOTHING;

	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			news = news == NMX__NL_GONE ? news : NMX__NL_CHANGED; /* messages were lost */
			continue;
		}
		if (n <= 0)
			return news;
		if (from.nl_pid == 0 && news != NMX__NL_GONE) {
			enum nmx__nl_news said = read_news(bytes, (size_t)n, ifindex);

			news = said > news ? said : news;
		}
	}
}

/* --- making and changing --- */

/* `change` of the flags to `flags`. */
static void begin_set(struct nmx__request *request, int ifindex, uint32_t flags, uint32_t change)
{
	struct ifinfomsg about = {
		.ifi_family = AF_UNSPEC, .ifi_index = ifindex, .ifi_flags = flags, .ifi_change = change
	};

	nmx__request_begin(request, RTM_NEWLINK, 0, &about, sizeof(about));
}

int nmx__nl_link_up(int fd, int ifindex)
{
	struct nmx__request request;

	begin_set(&request, ifindex, IFF_UP, IFF_UP);
	return nmx__request_send(fd, &request, NULL, NULL);
}

int nmx__nl_link_delete(int fd, int ifindex)
{
	struct ifinfomsg about = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
	struct nmx__request request;

	nmx__request_begin(&request, RTM_DELLINK, 0, &about, sizeof(about));
	return nmx__request_send(fd, &request, NULL, NULL);
}

int nmx__nl_xdp(int fd, int ifindex, int prog_fd, uint32_t flags)
{
	struct nmx__request request;
	size_t xdp;

	begin_set(&request, ifindex, 0, 0);
	xdp = nmx__request_open(&request, IFLA_XDP, NULL, 0);
	nmx__request_put_u32(&request, IFLA_XDP_FD, (uint32_t)prog_fd);
	nmx__request_put_u32(&request, IFLA_XDP_FLAGS, flags);
	nmx__request_close(&request, xdp);
	return nmx__request_send(fd, &request, NULL, NULL);
}

/* What the kernel takes only for an interface that exists: what it is for, and that IPv6 gives it no address, with which
 * it would send solicitations and reports.  A kernel without IPv6 has nothing to be told. */
static int name_and_quiet(int fd, int ifindex, const char *alias)
{
	struct nmx__request request;
	size_t spec, inet6;
	int err;

	begin_set(&request, ifindex, 0, 0);
	spec = nmx__request_open(&request, IFLA_AF_SPEC, NULL, 0);
	inet6 = nmx__request_open(&request, AF_INET6, NULL, 0);
	nmx__request_put_u8(&request, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nmx__request_close(&request, inet6);
	nmx__request_close(&request, spec);
	err = nmx__request_send(fd, &request, NULL, NULL);
	if (err != 0 && err != -EAFNOSUPPORT && err != -EOPNOTSUPP && err != -EINVAL)
		return err;
	if (!alias)
		return 0;
	begin_set(&request, ifindex, 0, 0);
	nmx__request_put_text(&request, IFLA_IFALIAS, alias);
	return nmx__request_send(fd, &request, NULL, NULL);
}

static void put_end(struct nmx__request *request, const char *name, uint32_t queues, uint32_t mtu)
{
	nmx__request_put_text(request, IFLA_IFNAME, name);
	nmx__request_put_u32(request, IFLA_NUM_TX_QUEUES, queues);
	nmx__request_put_u32(request, IFLA_NUM_RX_QUEUES, queues);
	nmx__request_put_u32(request, IFLA_MTU, mtu < VETH_MTU_MAX ? mtu : VETH_MTU_MAX); /* of lo it is more */
}

static int make_pair(int fd, const char *name, const char *peer, int peer_netns, uint32_t queues, uint32_t mtu)
{
	struct ifinfomsg end = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP };
	struct nmx__request request;
	size_t info, data, other;

	nmx__request_begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &end, sizeof(end));
	put_end(&request, name, queues, mtu);
	info = nmx__request_open(&request, IFLA_LINKINFO, NULL, 0);
	nmx__request_put_text(&request, IFLA_INFO_KIND, "veth");
	data = nmx__request_open(&request, IFLA_INFO_DATA, NULL, 0);
	other = nmx__request_open(&request, VETH_INFO_PEER, &end, sizeof(end));
	put_end(&request, peer, queues, mtu);
	nmx__request_put_u32(&request, IFLA_NET_NS_FD, (uint32_t)peer_netns);
	nmx__request_close(&request, other);
	nmx__request_close(&request, data);
	nmx__request_close(&request, info);
	return nmx__request_send(fd, &request, NULL, NULL);
}

int nmx__nl_veth_make(int fd, const char *name, const char *alias, const char *peer, int peer_fd, uint32_t queues,
                      uint32_t mtu)
{
	struct nmx__link near = { 0 }, far = { 0 };
	int netns = nmx__nl_netns(peer_fd);
	int err;

	if (netns < 0)
		return netns;
	err = make_pair(fd, name, peer, netns, queues, mtu);
	nmx__fd_close(netns);
	if (err)
		return err;
	err = nmx__nl_link(fd, name, 0, &near);
	if (err)
		return err; /* somebody has renamed or taken it within a moment: not ours to remove */
	err = name_and_quiet(fd, near.ifindex, alias);
	if (!err)
		err = nmx__nl_link(peer_fd, peer, 0, &far);
	if (!err)
		err = name_and_quiet(peer_fd, far.ifindex, NULL);
	if (err)
		(void)nmx__nl_link_delete(fd, near.ifindex);
	return err;
}
