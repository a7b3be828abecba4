/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "xsk/clsact.h"
#include "xsk/request.h"

/* Where our filter is, and what it is called: the second name when the qdisc was made for it, so that whoever replaces
 * the filter of a killed process knows what else to remove. */
#define PRIORITY        0x6e6du
#define HANDLE          1u
#define NAME            "nmx"
#define NAME_WITH_QDISC "nmx+clsact"

static struct tcmsg place(int ifindex, bool egress)
{
	return (struct tcmsg){ .tcm_family = AF_UNSPEC,
		               .tcm_ifindex = ifindex,
		               .tcm_handle = HANDLE,
		               .tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
		               .tcm_info = TC_H_MAKE(PRIORITY << 16, htons(ETH_P_ALL)) };
}

static int qdisc(int fd, int ifindex, uint16_t type, uint16_t flags)
{
	struct tcmsg about = { .tcm_family = AF_UNSPEC,
		               .tcm_ifindex = ifindex,
		               .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
		               .tcm_parent = TC_H_CLSACT };
	struct nmx__request request;

	nmx__request_begin(&request, type, flags, &about, sizeof(about));
	nmx__request_put_text(&request, TCA_KIND, "clsact");
	return nmx__request_send(fd, &request, NULL, NULL);
}

/* A filter for egress would be taken by the older ingress qdisc as well, and put on ingress. */
static void read_kind(const struct nlmsghdr *message, void *arg)
{
	const struct rtattr *a[TCA_KIND + 1];
	char kind[16];

	if (message->nlmsg_type != RTM_NEWQDISC)
		return;
	nmx__attributes(message, sizeof(struct tcmsg), a, TCA_KIND + 1);
	nmx__attribute_text(a[TCA_KIND], kind, sizeof(kind));
	*(bool *)arg = strcmp(kind, "clsact") == 0;
}

static bool has_clsact(int fd, int ifindex)
{
	struct tcmsg about = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = TC_H_CLSACT };
	struct nmx__request request;
	bool is = false;

	nmx__request_begin(&request, RTM_GETQDISC, NLM_F_ECHO, &about, sizeof(about)); /* else it tells others only */
	return nmx__request_send(fd, &request, read_kind, &is) == 0 && is;
}

struct found {
	bool filter;
	char name[32];
};

static void read_filter(const struct nlmsghdr *message, void *arg)
{
	const struct rtattr *a[TCA_OPTIONS + 1], *bpf[TCA_BPF_NAME + 1];
	struct found *found = arg;

	if (message->nlmsg_type != RTM_NEWTFILTER)
		return;
	found->filter = true;
	nmx__attributes(message, sizeof(struct tcmsg), a, TCA_OPTIONS + 1);
	nmx__attributes_within(a[TCA_OPTIONS], bpf, TCA_BPF_NAME + 1);
	nmx__attribute_text(bpf[TCA_BPF_NAME], found->name, sizeof(found->name));
}

/* What is where ours is to go; `dump`: whether there is anything at all on that side. */
static struct found look(int fd, int ifindex, bool egress, bool dump)
{
	struct tcmsg about = place(ifindex, egress);
	struct found found = { 0 };
	struct nmx__request request;

	if (dump)
		about.tcm_info = about.tcm_handle = 0;
	nmx__request_begin(&request, RTM_GETTFILTER, dump ? NLM_F_DUMP : 0, &about, sizeof(about));
	if (!dump)
		nmx__request_put_text(&request, TCA_KIND, "bpf");
	if (nmx__request_send(fd, &request, read_filter, &found) != 0 && dump)
		found.filter = true; /* it cannot be told */
	return found;
}

static int set_filter(int fd, int ifindex, bool egress, int prog, const char *name)
{
	struct tcmsg about = place(ifindex, egress);
	struct nmx__request request;
	size_t options;

	nmx__request_begin(&request, RTM_NEWTFILTER, NLM_F_CREATE, &about, sizeof(about));
	nmx__request_put_text(&request, TCA_KIND, "bpf");
	options = nmx__request_open(&request, TCA_OPTIONS, NULL, 0);
	nmx__request_put_u32(&request, TCA_BPF_FD, (uint32_t)prog);
	nmx__request_put_text(&request, TCA_BPF_NAME, name);
	nmx__request_put_u32(&request, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nmx__request_close(&request, options);
	return nmx__request_send(fd, &request, NULL, NULL);
}

int nmx__clsact_attach(int fd, int ifindex, bool egress, int prog, bool *made)
{
	int err = qdisc(fd, ifindex, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
	struct found found = { 0 };

	if (err && err != -EEXIST)
		return err;
	*made = err == 0;
	if (!*made && egress && !has_clsact(fd, ifindex))
		return -EEXIST;
	if (!*made)
		found = look(fd, ifindex, egress, false);
	if (strcmp(found.name, NAME_WITH_QDISC) == 0)
		*made = true;
	else if (found.filter && strcmp(found.name, NAME) != 0)
		return -EEXIST;
	err = set_filter(fd, ifindex, egress, prog, *made ? NAME_WITH_QDISC : NAME);
	if (err && *made && !found.filter)
		(void)qdisc(fd, ifindex, RTM_DELQDISC, 0);
	/* Somebody has our priority for another protocol. */
	return err == -EINVAL && !*made ? -EEXIST : err;
}

void nmx__clsact_detach(int fd, int ifindex, bool egress, bool with_qdisc)
{
	struct tcmsg about = place(ifindex, egress);
	struct nmx__request request;

	nmx__request_begin(&request, RTM_DELTFILTER, 0, &about, sizeof(about));
	nmx__request_put_text(&request, TCA_KIND, "bpf");
	(void)nmx__request_send(fd, &request, NULL, NULL); /* if somebody has removed it, so much the better */
	if (with_qdisc && !look(fd, ifindex, true, true).filter && !look(fd, ifindex, false, true).filter)
		(void)qdisc(fd, ifindex, RTM_DELQDISC, 0);
}
