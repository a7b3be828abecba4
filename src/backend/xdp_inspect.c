/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What <nmx/inspect.h> tells of an interface: everything that decides how a port of it would fare, and nothing opened. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "backend/xdp.h"
#include "base/fork.h"
#include "base/report.h"
#include "xsk/bpf.h"
#include "xsk/features.h"
#include "xsk/rights.h"

#define DEFAULT_SLOTS 1024u

static uint32_t or_one(uint32_t queues) { return queues ? queues : 1; }

/* ---- the interface */

static void copy_link(struct nmx_interface_info *info, const struct nmx__link *link)
{
	snprintf(info->name, sizeof(info->name), "%.15s", link->name);
	snprintf(info->kind, sizeof(info->kind), "%.15s", link->kind);
	info->ifindex = link->ifindex;
	info->mtu = link->mtu;
	info->up = (link->flags & IFF_UP) != 0;
	info->running = (link->flags & IFF_RUNNING) != 0;
	info->attached = link->xdp_mode <= XDP_ATTACHED_MULTI ? link->xdp_mode : NMX_XDP_SEVERAL;
	info->prog_id = link->xdp_prog;
}

static void copy_driver(struct nmx_interface_info *info, const struct nmx__driver *driver)
{
	snprintf(info->driver, sizeof(info->driver), "%.31s", driver->name);
	if (strcmp(driver->bus, "N/A") != 0)
		snprintf(info->bus, sizeof(info->bus), "%.31s", driver->bus);
	info->numa_node = driver->numa_node;
	info->rx_queues = driver->rx_queues;
	info->tx_queues = driver->tx_queues;
	info->rss_queues = driver->rss_queues;
	info->rx_vlan = (uint32_t)driver->rx_vlan;
	info->gro_hw = (uint32_t)driver->gro_hw;
	info->lro = (uint32_t)driver->lro;
	info->rx_checksum = (uint32_t)driver->rx_checksum;
	info->tx_checksum = (uint32_t)driver->tx_checksum;
	info->tso = (uint32_t)driver->tso;
}

static uint32_t feature(uint64_t features, uint32_t bit) { return (features & bit) ? NMX_FEATURE_ON : NMX_FEATURE_OFF; }

static void ask_xdp(struct nmx_interface_info *info)
{
	uint64_t features;

	_Static_assert((int)NMX_XDP_GENERIC == XDP_ATTACHED_SKB && (int)NMX_XDP_SEVERAL == XDP_ATTACHED_MULTI, "the kernel's numbers");
	_Static_assert((int)NMX_FEATURE_ON == (int)NMX__FEATURE_ON, "the same numbers");
	if (nmx__xdp_features(info->ifindex, &features) == 0) {
		info->native = feature(features, NMX__XDP_ACT_BASIC);
		info->zero_copy = feature(features, NMX__XDP_ACT_XSK_ZEROCOPY);
		info->long_packets = feature(features, NMX__XDP_ACT_RX_SG);
	}
	if (info->prog_id)
		nmx__xdp_prog_name(info->prog_id, info->prog_name, sizeof(info->prog_name));
	info->prog_is_ours = strcmp(info->prog_name, NMX__XDP_NAME) == 0;
}

/* ---- who has it */

static void find_users(struct nmx_interface_info *info, int nl)
{
	char claim[40], pair[IFNAMSIZ + 8];
	struct nmx__link link;
	const char *who;

	for (uint32_t i = 0; i < info->num_queues && !*info->queue_user && i < 4096; i++) {
		snprintf(claim, sizeof(claim), "xdp %d %u", info->ifindex, info->first_queue + i);
		nmx__claim_holder(claim, info->queue_user, sizeof(info->queue_user));
	}
	snprintf(pair, sizeof(pair), "nmxh%d", info->ifindex);
	if (nmx__nl_link(nl, pair, 0, &link) < 0)
		return;
	who = strstr(link.alias, ": ");
	snprintf(info->host_user, sizeof(info->host_user), "%.127s", who ? who + 2 : *link.alias ? link.alias : pair);
}

/* ---- this process */

static bool has_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &header, data) == 0 && (data[CAP_IPC_LOCK / 32].effective & 1u << CAP_IPC_LOCK % 32);
}

/* What is registered with the device counts against the limit: of a queue, two rings' worth of buffers to receive, one and
 * a few to send. */
static void ask_memlock(struct nmx_interface_info *info)
{
	uint64_t rx = 2ull * DEFAULT_SLOTS * info->num_queues;
	uint64_t tx = (uint64_t)(DEFAULT_SLOTS + xdp_spares_of_tx(DEFAULT_SLOTS)) * (info->wants_nic ? or_one(info->tx_queues) : 1);
	struct rlimit limit;

	info->memlock_needed = (rx + tx) * NMX__BUF_LEN;
	info->memlock = UINT64_MAX;
	if (!has_ipc_lock() && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		info->memlock = limit.rlim_cur;
}

static void ask_rights(struct nmx_interface_info *info)
{
	const unsigned needed = NMX__RIGHT_RAW | NMX__RIGHT_BPF | NMX__RIGHT_ADMIN;
	char what[64];

	snprintf(what, sizeof(what), "cannot open \"%s%s\"", info->name, info->wants_nic ? "" : "^");
	if (nmx__rights_lacking(needed))
		nmx__rights_fail(&info->rights, needed, EPERM, what);
}

/* ---- all of it */

static int read_interface(const struct nmx__name *name, struct nmx_interface_info *info, int nl, struct nmx_report *why)
{
	struct nmx__driver driver;
	struct nmx__link link;
	int err = nmx__nl_link(nl, name->port, 0, &link);

	if (err == 0)
		err = nmx__driver_read(link.name, &driver);
	if (err == -ENODEV)
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no interface \"%s\" here (ip link lists them)%s", name->port,
		                 nmx__name_hint(name->port));
	if (err < 0)
		return nmx__fail(why, NMX_ERR_IO, -err, "cannot ask for the interface \"%s\"", name->port);
	copy_link(info, &link);
	copy_driver(info, &driver);
	return 0;
}

static uint32_t backend_of(const char *text)
{
	struct nmx_port port = { 0 };

	return nmx__port_prepare(&port, text, NULL, 0, NULL, NULL) == 0 ? port.info.backend : NMX_XDP;
}

int nmx_interface_inspect(const char *text, struct nmx_interface_info *info, struct nmx_report *why)
{
	struct nmx__name name;
	int err, nl;

	nmx__report_clear(why);
	memset(info, 0, sizeof(*info));
	err = nmx__name_parse(text, &name, why);
	if (err < 0)
		return err;
	if ((name.backend != NMX_ANY && name.backend != NMX_XDP) || strlen(name.port) >= IFNAMSIZ)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%.64s\" is not the name of an interface", text);
	nl = nmx__nl_open(0);
	if (nl < 0)
		return nmx__fail(why, NMX_ERR_IO, -nl, "cannot ask for interfaces");
	err = read_interface(&name, info, nl, why);
	if (err == 0) {
		info->wants_nic = name.mode != NMX__HOST && name.mode != NMX__ONE_HOST;
		info->wants_host = name.mode == NMX__HOST || name.mode == NMX__ONE_HOST || name.mode == NMX__NIC_HOST;
		info->first_queue = name.mode == NMX__ONE_NIC ? name.ring : 0;
		info->num_queues = !info->wants_nic || name.mode == NMX__ONE_NIC ? 1 : or_one(info->rx_queues);
		ask_xdp(info);
		find_users(info, nl);
		ask_memlock(info);
		ask_rights(info);
		info->backend = backend_of(text);
	}
	nmx__fd_close(nl);
	return err;
}
