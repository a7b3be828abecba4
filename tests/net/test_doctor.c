/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* nmx doctor eth0 finds each trap that is set for it, names the command that mends it, and changes nothing. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "strict_json.h"
#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, QUEUES = 4 };

static struct child doctor, sink;

/* What doctor says of a port's name, run by a command that sets its limits ("" for none). */
static void ask(const char *before, const char *port, int code)
{
	char script[512];

	snprintf(script, sizeof(script), "%s '%s' doctor '%s' --dir '%s'", before, nmx_path, port, run_dir);
	net_start(HOST, &doctor, ARGV("sh", "-c", script));
	child_ends(&doctor, code);
}

static void a_good_interface_is_fine(void)
{
	struct snapshot before;

	net_snapshot(HOST, "eth0", &before);
	ask("", "eth0", 0);
	child_says(&doctor, "interface eth0 (veth), 4 receive and 4 transmit queues");
	child_says(&doctor, "fine     link               up");
	child_says(&doctor, "fine     XDP program        none is attached");
	child_says(&doctor, "fine     queues             all 4 are taken");
	EXPECT(!strstr(doctor.out, "trouble"), "%s", doctor.out);
	NMX_IN(HOST, &doctor, "doctor", "eth0", "--json", "--dir", run_dir);
	child_ends(&doctor, 0);
	EXPECT(!strict_json(doctor.out), "not JSON: %s", doctor.out);
	EXPECT(json_number(&doctor, "mtu") == MTU && json_number(&doctor, "rx_queues") == QUEUES, "%s", doctor.out);
	net_same_within(HOST, "eth0", &before, 1000);
}

static void down_and_without_a_link(void)
{
	net_script(HOST, "ip link set eth0 down");
	ask("", "eth0", 1);
	child_says(&doctor, "trouble  link               the interface is down");
	child_says(&doctor, "mend: ip link set dev eth0 up");
	net_script(HOST, "ip link set eth0 up");
	net_script(NEIGHBOUR, "ip link set eth0 down");
	ask("", "eth0", 0);
	child_says(&doctor, "warning  link               up, but there is no link");
	net_script(NEIGHBOUR, "ip link set eth0 up");
}

static void one_queue_of_several(void)
{
	ask("", "eth0-2", 0);
	child_says(&doctor, "warning  queues             queue 2 alone of 4");
	ask("", "eth0-7", 1);
	child_says(&doctor, "trouble  queues             there is no queue 7: there are 0 to 3");
}

static void long_packets(void)
{
	net_script(HOST, "ip link set eth0 mtu 9000");
	ask("", "eth0", net_takes_long_packets() ? 0 : 1);
	child_says(&doctor, "9000, and a slot carries 2048 bytes");
	if (!net_takes_long_packets())
		child_says(&doctor, "trouble  MTU                9000, and a slot carries 2048 bytes; longer packets need Linux 6.6");
	child_says(&doctor, "mend: ip link set dev eth0 mtu 1500");
	net_script(HOST, "ip link set eth0 mtu 1500");
}

static void offloads_of_the_host(void)
{
	ask("", "eth0^", 0);
	child_says(&doctor, "the host leaves checksums and segmentation to the device");
	EXPECT(!strstr(doctor.out, "native XDP"), "of host rings alone: %s", doctor.out);
	net_script(HOST, "ethtool -K eth0 rxvlan on tx on");
	ask("", "eth0", 0);
	child_says(&doctor, "mend: ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off");
	net_script(HOST, "ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off");
	ask("", "eth0", 0);
	child_says(&doctor, "fine     VLAN tags          stay in received packets");
	net_script(HOST, "ethtool -K eth0 rxvlan on rx-vlan-stag-hw-parse on");
}

static void rights_and_limits(void)
{
	ask("ulimit -l 64; exec setpriv --bounding-set=-ipc_lock", "eth0", 1);
	child_says(&doctor, "0 MiB may be locked, and about 26 are needed");
	child_says(&doctor, "mend: ulimit -l unlimited");
	ask("exec setpriv --bounding-set=-net_raw", "eth0", 1);
	child_says(&doctor, "trouble  rights");
	child_says(&doctor, "CAP_NET_RAW");
}

/* Of somebody else: it lets everything pass.  Held by the descriptor. */
static int attach_foreign_program(void)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS }, { .code = BPF_JMP | BPF_EXIT }
	};
	union bpf_attr attr;
	int prog, link;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uint64_t)(uintptr_t)pass;
	attr.insn_cnt = 2;
	attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
	strcpy(attr.prog_name, "firewall");
	prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	memset(&attr, 0, sizeof(attr));
	net_enter(HOST);
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_ifindex = if_nametoindex("eth0");
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = XDP_FLAGS_DRV_MODE;
	link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	net_leave();
	EXPECT(prog >= 0 && link >= 0, "%d, %d: %s", prog, link, strerror(errno));
	close(prog);
	return link;
}

static void programs_and_users(void)
{
	int link = attach_foreign_program();

	ask("", "eth0", 1);
	child_says(&doctor, "trouble  XDP program        another is attached: firewall (id ");
	child_says(&doctor, "mend: ip link set dev eth0 xdp off");
	close(link);
	NMX_IN(HOST, &sink, "sink", "eth0-1", "--dir", run_dir, "-q");
	net_await_port(&sink);
	ask("", "eth0", 1);
	child_says(&doctor, "that of a port of nmx");
	child_says(&doctor, "queues in use      by nmx (process ");
	ask("", "eth0-3", 0);
	EXPECT(!strstr(doctor.out, "queues in use"), "%s", doctor.out);
	kill(sink.pid, SIGINT);
	child_ends(&sink, 0);
	NMX_IN(HOST, &sink, "sink", "eth0^", "--dir", run_dir, "-q");
	net_await_port(&sink);
	ask("", "eth0^", 1);
	child_says(&doctor, "trouble  host rings in use  by nmx (process ");
	ask("", "eth0", 0);
	child_says(&doctor, "note     host rings in use  by nmx (process ");
	kill(sink.pid, SIGINT);
	child_ends(&sink, 0);
}

static void a_driver_without_xdp(void)
{
	net_script(HOST, "ip link add br9 type bridge; ip link set br9 up");
	ask("", "br9", 0);
	EXPECT(strstr(doctor.out, "native XDP         the driver (bridge) has none") ||
	           strstr(doctor.out, "native XDP         this kernel does not tell whether the driver (bridge) has it (from Linux 6.3)"),
	       "%s", doctor.out);
	net_script(HOST, "ip link del br9");
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 2);
	net_needs_ports();
	net_needs_program("ethtool", "ethtool");
	net_needs_program("setpriv", "util-linux");
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_QUIET);
	net_address(HOST, "eth0", "10.9.0.1/24");
	a_good_interface_is_fine();
	down_and_without_a_link();
	one_queue_of_several();
	long_packets();
	offloads_of_the_host();
	rights_and_limits();
	programs_and_users();
	a_driver_without_xdp();
	return expect_result();
}
