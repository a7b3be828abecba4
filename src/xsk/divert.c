/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "xsk/bpf.h"
#include "xsk/clsact.h"
#include "xsk/divert.h"
#include "xsk/netns.h"
#include "xsk/rights.h"

#define FAR_NAME      "nmx0"
#define CLAIM_WAIT_MS 2000 /* until what a dead process had is taken away: mostly 30, some 500 on a busy machine */
#define CLAIM_STEP_MS 5
#define NEEDED_RIGHTS (NMX__RIGHT_RAW | NMX__RIGHT_BPF | NMX__RIGHT_ADMIN)
#define FEATURE_WORDS 16 /* of 32 bits: the kernel has 2 or 3 */

enum { SLOT_NEAR, SLOT_NIC };

bool nmx__divert_by_clsact;

static const char *subject(const struct nmx__divert *d)
{
	return d->kind == NMX__DIVERT_HOST ? "host rings" : "packets";
}

/* A system call, or a request, that did not do what it must: "cannot WHAT". */
static int failed(const struct nmx__divert *d, struct nmx_report *why, int err, const char *what)
{
	char text[160];

	if (err == -EPERM || err == -EACCES) {
		snprintf(text, sizeof(text), "cannot get the %s of \"%s\" (%s)", subject(d), d->nic_name, what);
		return nmx__rights_fail(why, NEEDED_RIGHTS, -err, text);
	}
	if (err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -ENOBUFS)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, -err, "cannot get the %s of \"%s\" (%s)", subject(d),
		                 d->nic_name, what);
	if (err == -ENODEV)
		return nmx__fail(why, NMX_ERR_GONE, -err, "cannot get the %s of \"%s\" (%s): it has been removed",
		                 subject(d), d->nic_name, what);
	return nmx__fail(why, NMX_ERR_IO, -err, "cannot get the %s of \"%s\" (%s)", subject(d), d->nic_name, what);
}

/* --- the claim: only one process has an interface of that name --- */

static void own_name(char *out, size_t size)
{
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
	if (!out[0])
		snprintf(out, size, "?");
}

static void make_alias(const struct nmx__divert *d, char *out, size_t size)
{
	char program[16];

	own_name(program, sizeof(program));
	snprintf(out, size, "%s of %s: %s (process %d)", subject(d), d->nic_name, program, (int)getpid());
}

/* The process of an alias, 0 if there is none in it; *who: "pkt-gen (process 123)". */
static pid_t read_alias(const char *alias, const char **who)
{
	const char *colon = strstr(alias, ": "), *last = NULL;

	for (const char *p = alias; (p = strstr(p, "(process ")); p++)
		last = p;
	*who = colon ? colon + 2 : alias;
	return last ? (pid_t)strtol(last + sizeof("(process ") - 1, NULL, 10) : 0;
}

/* One that has ended and was not waited for has lost its descriptors as any dead one. */
static bool is_zombie(pid_t pid)
{
	char path[40], text[256] = "", *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	state = strrchr(text, ')');
	return state && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
}

static bool is_alive(pid_t pid) { return (kill(pid, 0) == 0 || errno == EPERM) && !is_zombie(pid); }

static int busy(const struct nmx__divert *d, const struct nmx__link *taken, struct nmx_report *why)
{
	const char *who;
	pid_t pid = read_alias(taken->alias, &who);

	if (pid == getpid())
		return nmx__fail(why, NMX_ERR_BUSY, 0, "this process has the %s of \"%s\" already", subject(d),
		                 d->nic_name);
	if (pid > 0 && is_alive(pid))
		return nmx__fail(why, NMX_ERR_BUSY, 0, "the %s of \"%s\" are in use by %s", subject(d), d->nic_name,
		                 who);
	if (pid > 0)
		return nmx__fail(why, NMX_ERR_BUSY, 0,
		                 "the %s of \"%s\" are in use by %s, or by what it left behind: if nothing needs it, "
		                 "ip link "
		                 "delete %s",
		                 subject(d), d->nic_name, who, d->name);
	return nmx__fail(why, NMX_ERR_BUSY, 0,
	                 "the %s of \"%s\" cannot be had: there is an interface \"%s\" already, and it does not say "
	                 "whose: if "
	                 "nothing needs it, ip link delete %s",
	                 subject(d), d->nic_name, d->name, d->name);
}

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static int claim(struct nmx__divert *d, const struct nmx__link *nic, uint32_t queues, struct nmx_report *why)
{
	struct nmx__link taken = { 0 };
	const char *who;
	char alias[128];
	pid_t pid;
	int err;

	make_alias(d, alias, sizeof(alias));
	for (int waited = 0;; waited += CLAIM_STEP_MS) {
		err = nmx__nl_veth_make(d->nl, d->name, alias, FAR_NAME, d->far_nl, queues, nic->mtu);
		if (err != -EEXIST)
			break;
		err = nmx__nl_link(d->nl, d->name, 0, &taken);
		if (err && err != -ENODEV)
			break;
		pid = err ? 0 : read_alias(taken.alias, &who);
		if (waited >= CLAIM_WAIT_MS || (pid > 0 && is_alive(pid)))
			return busy(d, &taken, why);
		pause_ms(CLAIM_STEP_MS); /* it is going away, or not complete yet */
	}
	if (err == -EOPNOTSUPP)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, -err,
		                 "this kernel has no veth interfaces (CONFIG_VETH)");
	return err ? failed(d, why, err, "making a veth pair") : 0;
}

/* --- the pair --- */

static int ethtool(const struct nmx__divert *d, void *command)
{
	struct ifreq request = { .ifr_data = command };

	memcpy(request.ifr_name, d->name, sizeof(d->name));
	return ioctl(d->nl, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/*
 * All that a sender may leave to its device is switched off at the near end, so that the kernel does it on the way in:
 * checksums, segments, VLAN tags.  Also what a receiver may be spared: that a frame which comes from us has a right
 * checksum is for the host to verify.  (A program of XDP at the far end makes the kernel switch off TSO only.)
 */
static int no_offloads(const struct nmx__divert *d)
{
	uint32_t words;
	int err;
	union {
		struct ethtool_gfeatures has;
		struct ethtool_sfeatures set;
		uint8_t room[sizeof(struct ethtool_gfeatures) +
		             FEATURE_WORDS * sizeof(struct ethtool_get_features_block)];
	} features;

	memset(&features, 0, sizeof(features));
	features.has.cmd = ETHTOOL_GFEATURES;
	features.has.size = FEATURE_WORDS;
	err = ethtool(d, &features);
	if (err)
		return err;
	words = features.has.size < FEATURE_WORDS ? features.has.size : FEATURE_WORDS;
	/* cppcheck-suppress knownConditionTrueFalse ; it does not see that the kernel has written */
	for (uint32_t i = 0; i < words; i++) {
		struct ethtool_get_features_block block = features.has.features[i];

		/* What is written is shorter than what is read, and does not get ahead of it. */
		features.set.features[i] =
		    (struct ethtool_set_features_block){ .valid = block.available & ~block.never_changed };
	}
	features.set.cmd = ETHTOOL_SFEATURES;
	features.set.size = words;
	return ethtool(d, &features);
}

static int prepare(struct nmx__divert *d, struct nmx_report *why)
{
	struct nmx__link link;
	int err = nmx__nl_link(d->nl, d->name, 0, &link);

	if (err)
		return failed(d, why, err, "finding the veth pair");
	d->near = link.ifindex;
	err = nmx__nl_link(d->far_nl, FAR_NAME, 0, &link);
	if (err)
		return failed(d, why, err, "finding the veth pair");
	d->far = link.ifindex;
	err = no_offloads(d);
	if (err)
		return failed(d, why, err, "switching offloads of the veth pair off");
	/* The near end last: it has a carrier then, and is ready to send when this returns.  The other way round it would be
	 * made ready in the background. */
	err = nmx__nl_link_up(d->far_nl, d->far);
	if (!err)
		err = nmx__nl_link_up(d->nl, d->near);
	return err ? failed(d, why, err, "switching the veth pair on") : 0;
}

static int open_all(struct nmx__divert *d, const struct nmx__link *nic, uint32_t queues, int *sockets,
                    uint32_t num_sockets, struct nmx_report *why)
{
	char what[64];
	int err;

	d->nl = nmx__nl_open(0);
	if (d->nl < 0)
		return failed(d, why, d->nl, "opening rtnetlink");
	snprintf(what, sizeof(what), "the %s of \"%s\"", subject(d), d->nic_name);
	err = nmx__netns_make(&d->far_nl, sockets, num_sockets, what, why);
	if (err)
		return err;
	d->netns = nmx__nl_netns(d->far_nl);
	if (d->netns < 0)
		return failed(d, why, d->netns, "opening a network namespace");
	err = claim(d, nic, queues, why);
	return err ? err : prepare(d, why);
}

int nmx__divert_open(struct nmx__divert *divert, const struct nmx__link *nic, enum nmx__divert_kind kind, bool marks,
                     uint32_t queues, int *sockets, uint32_t num_sockets, struct nmx_report *why)
{
	int err;

	*divert = (struct nmx__divert){ .kind = kind,
		                        .marks = marks,
		                        .nic = nic->ifindex,
		                        .nl = -1,
		                        .far_nl = -1,
		                        .netns = -1,
		                        .link = { -1, -1 },
		                        .generation = nmx__fork_generation() };
	memcpy(divert->nic_name, nic->name, sizeof(divert->nic_name));
	snprintf(divert->name, sizeof(divert->name), "nmx%c%d", kind == NMX__DIVERT_HOST ? 'h' : 'w', nic->ifindex);
	for (uint32_t i = 0; i < num_sockets; i++)
		sockets[i] = -1;
	err = open_all(divert, nic, queues, sockets, num_sockets, why);
	if (!err)
		return 0;
	for (uint32_t i = 0; i < num_sockets; i++)
		nmx__fd_close(sockets[i]);
	nmx__divert_close(divert);
	return err;
}

/* --- the programs --- */

static int ifindex_of(const struct nmx__divert *d, int slot) { return slot == SLOT_NEAR ? d->near : d->nic; }
static bool on_egress(const struct nmx__divert *d, int slot)
{
	return slot == SLOT_NIC && d->kind == NMX__DIVERT_HOST;
}

static int attach_filter(struct nmx__divert *d, int slot, int prog)
{
	int array = -1, err, guarded = nmx__bpf_load_guarded(prog, &array);

	if (guarded < 0)
		return guarded;
	err = nmx__clsact_attach(d->nl, ifindex_of(d, slot), on_egress(d, slot), guarded, &d->qdisc[slot]);
	nmx__fd_close(guarded);
	if (err) {
		nmx__fd_close(array);
		return err;
	}
	d->filter[slot] = true;
	d->link[slot] = array;
	return 0;
}

static int attach(struct nmx__divert *d, int slot, int prog)
{
	int link = -EOPNOTSUPP;

	if (!nmx__divert_by_clsact)
		link = nmx__bpf_link_tcx(prog, ifindex_of(d, slot), on_egress(d, slot));
	/* A kernel before 6.6 does not know this kind of link, and says so in one way or the other. */
	if (link == -EINVAL || link == -EOPNOTSUPP)
		return attach_filter(d, slot, prog);
	if (link < 0)
		return link;
	d->link[slot] = link;
	return 0;
}

/* Takes the program, which may be an error. */
static int attach_program(struct nmx__divert *d, int slot, int prog, struct nmx_report *why)
{
	int err;

	if (prog < 0)
		return failed(d, why, prog, "loading a BPF program");
	err = attach(d, slot, prog);
	nmx__fd_close(prog);
	if (err == -EEXIST)
		return nmx__fail(why, NMX_ERR_BUSY, 0,
		                 "cannot get the %s of \"%s\": it has an ingress qdisc (where clsact is needed), or "
		                 "another filter "
		                 "in the place of ours: see tc filter show dev %s %s",
		                 subject(d), d->nic_name, d->nic_name, on_egress(d, slot) ? "egress" : "ingress");
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, -err,
		                 "cannot get the %s of \"%s\": this kernel has neither tcx (Linux 6.6) nor BPF "
		                 "filters in clsact "
		                 "(CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)",
		                 subject(d), d->nic_name);
	return err ? failed(d, why, err, "attaching a BPF program") : 0;
}

static void detach(struct nmx__divert *d, int slot)
{
	if (d->filter[slot])
		nmx__clsact_detach(d->nl, ifindex_of(d, slot), on_egress(d, slot), d->qdisc[slot]);
	nmx__fd_close(d->link[slot]);
	d->filter[slot] = false;
	d->link[slot] = -1;
}

int nmx__divert_start(struct nmx__divert *divert, struct nmx_report *why)
{
	int err = 0;

	/* The way back first: who sees that its packets are diverted may answer. */
	if (divert->kind == NMX__DIVERT_HOST)
		err = attach_program(divert, SLOT_NEAR,
		                     nmx__bpf_load_inject(divert->nic, divert->marks ? NMX__HOST_MARK : 0), why);
	if (!err && !divert->gives_only)
		err = attach_program(divert, SLOT_NIC,
		                     nmx__bpf_load_divert(divert->near,
		                                          divert->kind == NMX__DIVERT_WIRE ? NMX__HOST_MARK : 0),
		                     why);
	if (err)
		detach(divert, SLOT_NEAR);
	return err;
}

void nmx__divert_close(struct nmx__divert *divert)
{
	/* In a forked child the descriptors are closed already, and their numbers may be somebody else's. */
	if (!nmx__forked(divert->generation)) {
		detach(divert, SLOT_NIC);
		detach(divert, SLOT_NEAR);
		if (divert->near)
			(void)nmx__nl_link_delete(divert->nl, divert->near);
		nmx__fd_close(divert->netns);
		nmx__fd_close(divert->far_nl);
		nmx__fd_close(divert->nl);
	}
	divert->nl = divert->far_nl = divert->netns = divert->link[SLOT_NEAR] = divert->link[SLOT_NIC] = -1;
	divert->near = divert->far = 0;
}
