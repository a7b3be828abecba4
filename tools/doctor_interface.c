/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "doctor_interface.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "live.h"

#define SLOT_BYTES   2048u
#define LONGEST_HEAD 18u /* Ethernet with a VLAN tag */

struct table {
	const struct nmx_interface_info *info;
	struct finding *findings;
	int count;
};

/* A new row; the caller fills in why it matters and what mends it, where there is more to say. */
__attribute__((__format__(__printf__, 4, 5))) static struct finding *add(struct table *t, enum finding_level level,
                                                                         const char *trap, const char *format, ...)
{
	static struct finding no_room;
	struct finding *f = t->count < FINDINGS ? &t->findings[t->count++] : &no_room;
	va_list args;

	f->level = level;
	f->trap = trap;
	f->why[0] = f->mend[0] = '\0';
	va_start(args, format);
	vsnprintf(f->found, sizeof(f->found), format, args);
	va_end(args);
	return f;
}

#define WHY(f, ...)  snprintf((f)->why, sizeof((f)->why), __VA_ARGS__)
#define MEND(f, ...) snprintf((f)->mend, sizeof((f)->mend), __VA_ARGS__)

/* ---- the traps */

static bool is_netmap(const struct nmx_interface_info *i) { return i->backend == NMX_NETMAP; }

static void look_at_link(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	struct finding *f;

	if (!i->up) {
		f = add(t, FINDING_TROUBLE, "link", "the interface is down");
		WHY(f, "nothing is received or sent");
		MEND(f, "ip link set dev %s up", i->name);
	} else if (!i->running) {
		f = add(t, FINDING_WARNING, "link", "up, but there is no link");
		WHY(f, "no cable, or the other end is down: nothing is received or sent");
	} else
		add(t, FINDING_FINE, "link", "up");
}

static void look_at_rights(struct table *t)
{
	if (t->info->rights.err)
		add(t, FINDING_TROUBLE, "rights", "%s", t->info->rights.text);
	else
		add(t, FINDING_FINE, "rights", "this process may open it");
}

static const char *driver_of(const struct nmx_interface_info *i)
{
	return *i->driver ? i->driver : *i->kind ? i->kind : "unknown";
}

static void look_at_native(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	struct finding *f;

	if (i->native == NMX_FEATURE_ON) {
		add(t, FINDING_FINE, "native XDP", "the driver (%s) has it", driver_of(i));
	} else if (i->native == NMX_FEATURE_UNKNOWN) {
		add(t, FINDING_NOTE, "native XDP",
		    "this kernel does not tell whether the driver (%s) has it (from Linux 6.3)", driver_of(i));
	} else {
		f = add(t, FINDING_NOTE, "native XDP", "the driver (%s) has none, as it is set up", driver_of(i));
		WHY(f, "packets are led here by tc and a pair of interfaces instead: slower, and all on one ring");
		if (strcmp(i->kind, "veth") == 0)
			MEND(f, "ethtool -L %s rx N: as many receive queues as the other end has transmit queues",
			     i->name);
	}
	if (i->native == NMX_FEATURE_ON && i->zero_copy != NMX_FEATURE_UNKNOWN) {
		bool has = i->zero_copy == NMX_FEATURE_ON;
		add(t, has ? FINDING_FINE : FINDING_NOTE, "zero copy",
		    has ? "the driver has it" : "the driver has none: the kernel copies each packet once");
	}
}

/* Two more things for which drivers turn XDP programs away, and for which netmap has no room. */
static void look_at_joining(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	const struct {
		const char *what, *off;
		uint32_t state;
	} rows[] = { { "LRO", "lro", i->lro }, { "GRO in hardware", "rx-gro-hw", i->gro_hw } };
	bool any = false;

	for (int k = 0; k < 2; k++) {
		if (rows[k].state != NMX_FEATURE_ON)
			continue;
		struct finding *f = add(t, FINDING_WARNING, "joined packets", "%s is on", rows[k].what);
		WHY(f, "the device joins packets before anybody sees them%s",
		    is_netmap(i) ? ": what is longer than a slot is lost" : ", and most drivers take no XDP program then");
		MEND(f, "ethtool -K %s %s off", i->name, rows[k].off);
		any = true;
	}
	if (!any)
		add(t, FINDING_FINE, "joined packets", "LRO and GRO in hardware are off");
}

static void look_at_program(struct table *t)
{
	static const char *const ways[] = { "", "native", "generic (SKB)", "in the device", "several" };
	const struct nmx_interface_info *i = t->info;
	struct finding *f;

	if (i->attached == NMX_XDP_NONE) {
		add(t, FINDING_FINE, "XDP program", "none is attached");
	} else if (i->prog_is_ours || (!*i->prog_name && *i->queue_user)) {
		add(t, FINDING_NOTE, "XDP program",
		    "that of a port of nmx (id %u): other processes can have other queues", i->prog_id);
	} else {
		f = add(t, FINDING_TROUBLE, "XDP program", "another is attached: %s (id %u), %s",
		        *i->prog_name ? i->prog_name : "no name", i->prog_id,
		        i->attached <= NMX_XDP_SEVERAL ? ways[i->attached] : "?");
		WHY(f, "an interface has one, and it is left alone; bpftool prog show id %u says more", i->prog_id);
		MEND(f, "ip link set dev %s %s off", i->name, i->attached == NMX_XDP_GENERIC ? "xdpgeneric" : "xdp");
	}
}

static void look_at_users(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	struct finding *f;

	if (i->wants_nic && *i->queue_user) {
		f = add(t, FINDING_TROUBLE, "queues in use", "by %s", i->queue_user);
		WHY(f, "a queue has one process");
		MEND(f, "end it, or name another queue: \"%s-N\"", i->name);
	}
	if (*i->host_user) {
		f = add(t, i->wants_host ? FINDING_TROUBLE : FINDING_NOTE, "host rings in use", "by %s",
		        i->host_user);
		WHY(f, "what the host sends on %s goes to one process", i->name);
	}
}

/* Queues that packets come on, and that nobody would look at. */
static void look_at_queues(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	uint32_t all = i->rx_queues ? i->rx_queues : 1, spread = i->rss_queues ? i->rss_queues : all;
	struct finding *f;

	if (i->first_queue >= all) {
		f = add(t, FINDING_TROUBLE, "queues", "there is no queue %u: there are 0 to %u", i->first_queue,
		        all - 1);
		MEND(f, "ethtool -L %s combined %u, if it was made with as many", i->name, i->first_queue + 1);
	} else if (i->num_queues < all && spread > i->num_queues) {
		f = add(t, FINDING_WARNING, "queues", "queue %u alone of %u, and packets %s spread over 0 to %u",
		        i->first_queue, all, i->rss_queues ? "are" : "may be", spread - 1);
		WHY(f, "what comes on the others is not received here: the host gets it");
		if (i->rss_queues)
			MEND(f, "ethtool -X %s start %u equal 1, or open \"%s\" with all queues", i->name,
			     i->first_queue, i->name);
		else
			MEND(f, "open \"%s\" with all queues", i->name);
	} else if (spread < all) {
		f = add(t, FINDING_NOTE, "queues", "packets are spread over %u of %u queues", spread, all);
		WHY(f, "the rings of the others stay empty");
		MEND(f, "ethtool -X %s equal %u", i->name, all);
	} else
		add(t, FINDING_FINE, "queues", all == 1 ? "one" : "all %u are taken", all);
}

static bool kernel_is_at_least(int major, int minor)
{
	struct utsname uts;
	int have[2] = { 0, 0 };

	return uname(&uts) == 0 && sscanf(uts.release, "%d.%d", &have[0], &have[1]) == 2 &&
	       (have[0] > major || (have[0] == major && have[1] >= minor));
}

static void look_at_netmap_mtu(struct table *t)
{
	struct finding *f = add(t, FINDING_WARNING, "MTU", "%u, and a slot of netmap's carries %u bytes", t->info->mtu, SLOT_BYTES);

	WHY(f, "it is refused to receive where the driver takes no packets in parts, and where it does, longer ones come in several slots");
	MEND(f, "ip link set dev %s mtu 1500, or modprobe netmap buf_size=N", t->info->name);
}

static void look_at_mtu(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	bool kernel = kernel_is_at_least(6, 6);
	bool driver = i->native != NMX_FEATURE_ON || i->long_packets != NMX_FEATURE_OFF || !i->wants_nic;

	if (i->mtu + LONGEST_HEAD <= SLOT_BYTES) {
		add(t, FINDING_FINE, "MTU", "%u: every packet fits a slot", i->mtu);
		return;
	}
	if (is_netmap(i)) {
		look_at_netmap_mtu(t);
		return;
	}
	struct finding *f =
	    add(t, kernel && driver ? FINDING_WARNING : FINDING_TROUBLE, "MTU", "%u, and a slot carries %u bytes%s%s",
	        i->mtu, SLOT_BYTES, kernel ? "" : "; longer packets need Linux 6.6",
	        driver ? "" : "; the driver takes none in parts");
	if (kernel)
		WHY(f, "longer packets are dropped and counted, but by ports opened with NMX_CHAINS, which get them in "
		       "several slots");
	else
		WHY(f, "it cannot be opened to receive: longer packets would come without their ends");
	MEND(f, "ip link set dev %s mtu 1500", i->name);
}

static void look_at_vlan(struct table *t)
{
	const struct nmx_interface_info *i = t->info;

	if (i->rx_vlan != NMX_FEATURE_ON) {
		add(t, i->rx_vlan == NMX_FEATURE_OFF ? FINDING_FINE : FINDING_NOTE, "VLAN tags",
		    i->rx_vlan == NMX_FEATURE_OFF ? "stay in received packets"
		                                  : "the driver does not say whether they stay in packets");
		return;
	}
	struct finding *f =
	    add(t, FINDING_WARNING, "VLAN tags", "are taken out of received packets (an rx-vlan offload is on)");
	WHY(f, "a packet of a VLAN comes without its tag, and nothing says which VLAN it was of");
	MEND(f, "ethtool -K %s rxvlan off rx-vlan-stag-hw-parse off", i->name);
}

static void look_at_offloads(struct table *t)
{
	const struct nmx_interface_info *i = t->info;

	if (i->tso != NMX_FEATURE_ON && i->tx_checksum != NMX_FEATURE_ON)
		return;
	struct finding *f = add(t, is_netmap(i) ? FINDING_WARNING : FINDING_NOTE, "offloads", "the host leaves %s%s%s to the device",
	                        i->tx_checksum == NMX_FEATURE_ON ? "checksums" : "",
	                        i->tso == NMX_FEATURE_ON && i->tx_checksum == NMX_FEATURE_ON ? " and " : "",
	                        i->tso == NMX_FEATURE_ON ? "segmentation" : "");
	if (!is_netmap(i)) {
		WHY(f, "on the way to the host rings the kernel does them instead: nothing is wrong, but it takes time");
		return;
	}
	WHY(f, "netmap drops such packets on the way to the host rings: no TCP of the host gets through");
	MEND(f, "ethtool -K %s tx off gso off", i->name);
}

static void look_at_memlock(struct table *t)
{
	const struct nmx_interface_info *i = t->info;
	unsigned long long needed = (i->memlock_needed + (1 << 20) - 1) >> 20, may = i->memlock >> 20;

	if (i->memlock >= i->memlock_needed) {
		add(t, FINDING_FINE, "locked memory",
		    i->memlock == UINT64_MAX ? "without a limit" : "enough may be locked");
		return;
	}
	struct finding *f = add(t, FINDING_TROUBLE, "locked memory",
	                        "%llu MiB may be locked, and about %llu are needed", may, needed);
	WHY(f, "about 4 KiB a slot: the device reads and writes the buffers, so they must stay where they are");
	MEND(f, "ulimit -l unlimited (as root; systemd: LimitMEMLOCK=infinity), or cap_ipc_lock for the program, or "
	        "fewer --slots");
}

int findings_of(const struct nmx_interface_info *info, struct finding findings[FINDINGS])
{
	struct table t = { info, findings, 0 };

	look_at_link(&t);
	if (!is_netmap(info)) {
		look_at_rights(&t);
		look_at_users(&t);
	}
	if (info->wants_nic && !is_netmap(info)) {
		look_at_native(&t);
		look_at_program(&t);
	}
	if (info->wants_nic) {
		look_at_joining(&t);
		look_at_queues(&t);
		look_at_vlan(&t);
	}
	look_at_mtu(&t);
	if (info->wants_host)
		look_at_offloads(&t);
	if (!is_netmap(info))
		look_at_memlock(&t);
	return t.count;
}

/* ---- showing them */

static const char *const level_names[] = { "fine", "note", "warning", "trouble" };

static void show_text(const struct nmx_interface_info *i, const struct finding *findings, int n)
{
	static const char *const colours[] = { "\033[32m", "\033[36m", "\033[33m", "\033[1;31m" };
	bool colour = live_colour(STDOUT_FILENO);

	printf("interface %s (%s%s%s), %u receive and %u transmit queues\n", i->name, driver_of(i),
	       *i->bus ? ", " : "", i->bus, i->rx_queues ? i->rx_queues : 1, i->tx_queues ? i->tx_queues : 1);
	for (; n > 0; n--, findings++) {
		printf("  %s%-8s%s %-18s %s\n", colour ? colours[findings->level] : "", level_names[findings->level],
		       colour ? "\033[0m" : "", findings->trap, findings->found);
		if (*findings->why)
			printf("  %-8s %-18s %s\n", "", "", findings->why);
		if (*findings->mend)
			printf("  %-8s %-18s mend: %s\n", "", "", findings->mend);
	}
	putchar('\n');
}

static void json_feature(struct json *json, const char *key, uint32_t state)
{
	static const char *const names[] = { "unknown", "off", "on" };

	json_text(json, key, names[state <= NMX_FEATURE_ON ? state : 0]);
}

static void json_facts(struct json *json, const struct nmx_interface_info *i)
{
	json_text(json, "name", i->name);
	json_u64(json, "ifindex", (uint64_t)i->ifindex);
	json_text(json, "kind", i->kind);
	json_text(json, "driver", i->driver);
	json_text(json, "bus", i->bus);
	json_u64(json, "mtu", i->mtu);
	json_bool(json, "up", i->up);
	json_bool(json, "running", i->running);
	json_u64(json, "rx_queues", i->rx_queues);
	json_u64(json, "tx_queues", i->tx_queues);
	json_u64(json, "rss_queues", i->rss_queues);
	json_u64(json, "xdp_program", i->prog_id);
	json_text(json, "xdp_program_name", i->prog_name);
	json_feature(json, "native_xdp", i->native);
	json_feature(json, "zero_copy", i->zero_copy);
	json_feature(json, "long_packets", i->long_packets);
	json_feature(json, "rx_vlan", i->rx_vlan);
	json_feature(json, "gro_hw", i->gro_hw);
	json_feature(json, "lro", i->lro);
	json_feature(json, "rx_checksum", i->rx_checksum);
	json_feature(json, "tx_checksum", i->tx_checksum);
	json_feature(json, "tso", i->tso);
	json_u64(json, "memlock_needed", i->memlock_needed);
}

static void show_json(struct json *json, const struct nmx_interface_info *info, const struct finding *findings, int n)
{
	json_object(json, "interface");
	json_facts(json, info);
	json_array(json, "findings");
	for (; n > 0; n--, findings++) {
		json_object(json, NULL);
		json_text(json, "level", level_names[findings->level]);
		json_text(json, "trap", findings->trap);
		json_text(json, "found", findings->found);
		json_text(json, "why", findings->why);
		json_text(json, "mend", findings->mend);
		json_close_object(json);
	}
	json_close_array(json);
	json_close_object(json);
}

bool doctor_interface(const char *name, struct json *json)
{
	struct finding findings[FINDINGS];
	struct nmx_interface_info info;
	struct nmx_report why;
	bool good = true;

	if (nmx_interface_inspect(name, &info, &why) < 0)
		return true; /* what the name is has been said already */
	int n = findings_of(&info, findings);
	for (int i = 0; i < n; i++)
		good &= findings[i].level != FINDING_TROUBLE;
	if (json)
		show_json(json, &info, findings, n);
	else
		show_text(&info, findings, n);
	return good;
}
