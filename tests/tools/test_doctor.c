/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ping and pong, the demo, and what doctor says about names, about the living and about the dead. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interface.h"
#include "run.h"
#include "strict_json.h"

static struct child child, first, second;

/* ---- ping and pong */

static void pings_are_answered(const char *count, const char *len, const char *spin)
{
	NMX_START(&first, "pong", "x}1", "--dir", run_dir, "-q", "--json", spin);
	NMX_START(&child, "ping", "x{1", "--dir", run_dir, "-q", "--json", "-n", count, "-l", len, spin);
	child_ends(&child, 0);
	child_ends(&first, 0);
	EXPECT(!strict_json(child.out) && !strict_json(first.out), "not JSON: %s%s", child.out, first.out);
	EXPECT(json_number(&child, "sent") == atoi(count) && json_number(&child, "answered") == atoi(count), "%s", child.out);
	EXPECT(json_number(&child, "lost") == 0 && json_number(&child, "late") == 0 && json_number(&child, "corrupt") == 0, "%s", child.out);
	EXPECT(json_number(&first, "packets") == atoi(count), "%s", first.out);
	run_dir_is_empty();
}

static void ping_alone(void)
{
	EXPECT(NMX_RUN(&child, "ping", "x{1", "--dir", run_dir, "-q", "-n", "2", "--timeout", "50ms") == 1, "%d", child.code);
	child_says(&child, "lost 2");
	EXPECT(NMX_RUN(&child, "ping", "x{1", "--dir", run_dir, "-q", "--timeout", "20ms") == 1, "%d", child.code);
	child_says(&child, "packets in a row were not answered: is nmx pong running at the other end of x{1?");
}

static void death_between_pings(void)
{
	NMX_START(&first, "pong", "x}1", "--dir", run_dir, "-q");
	NMX_START(&child, "ping", "x{1", "--dir", run_dir, "-q", "-n", "1G");
	run_await_processes(2);
	kill(first.pid, SIGKILL);
	child_wait(&first, 5000);
	child_ends(&child, 1);
	child_says(&child, "the other end has gone");
	NMX_START(&first, "pong", "x}1", "--dir", run_dir, "-q");
	NMX_START(&child, "ping", "x{1", "--dir", run_dir, "-q", "-n", "1G");
	run_await_processes(2);
	kill(child.pid, SIGKILL);
	child_wait(&child, 5000);
	child_ends(&first, 0);
	child_says(&first, "given back");
	run_dir_is_empty();
}

/* ---- demo */

static unsigned shm_entries(void)
{
	DIR *dir = opendir("/dev/shm");
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, "nmx-demo", 8) == 0;
	if (dir)
		closedir(dir);
	return n;
}

static void demo_ends_well(const char *json)
{
	unsigned before = shm_entries();
	int64_t begin = now_ms();

	NMX_START(&child, "demo", json);
	EXPECT(child_wait(&child, 40000) == 0, "%d %s%s", child.code, child.out, child.err);
	EXPECT(now_ms() - begin < 15000, "took %lld ms, not ten seconds", (long long)(now_ms() - begin));
	EXPECT(!strict_json(child.out), "not JSON: %s", child.out);
	EXPECT(shm_entries() <= before, "something was left in /dev/shm");
}

static void demo_stops(void)
{
	unsigned before = shm_entries();

	NMX_START(&child, "demo");
	sleep_ms(700);
	kill(child.pid, SIGINT);
	EXPECT(child_wait(&child, 5000) == 1, "%d %s%s", child.code, child.out, child.err);
	EXPECT(shm_entries() <= before, "something was left in /dev/shm");
}

/* ---- doctor */

static void names_of_every_kind(void)
{
	static const struct {
		const char *name, *says;
		int code;
	} names[] = {
		{ "nosuch0", "no interface", 1 },
		{ "netmap:nosuch0", "no interface", 1 },
		{ "xdp:nosuch0", "no interface", 1 },
		{ "nosuch0^", "no interface", 1 },
		{ "vale0:a", "is a port of a switch in user space: opening it makes it", 0 },
		{ "x{1", "opening it makes it", 0 },
		{ "netmap:x}1", "opening it makes it", 0 },
		{ "loop:", "\"loop:\"", 0 },
		{ "null:", "\"null:\"", 0 },
		{ "pcap:/nonexistent.pcap", "/nonexistent.pcap", 1 },
		{ "pcap:/tmp", "/tmp", 1 },
		{ "pcap:/proc/self/exe", "/proc/self/exe", 1 },
		{ "two words", "two words", 1 },
		{ "x{", "x{", 1 },
		{ "x{1@frob=3", "frob", 1 },
		{ "\"\\\n\t\x80", "no", 1 },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (int json = 0; json < 2; json++) {
			NMX_RUN(&child, "doctor", names[i].name, "--dir", run_dir, json ? "--json" : "--");
			EXPECT(child.code == names[i].code, "doctor %s: %d %s%s", names[i].name, child.code, child.out, child.err);
			const char *says = strcmp(names[i].says, "no interface") == 0 ? said_of_interface(names[i].says) : names[i].says;

			child_says(&child, json && strchr(says, '"') ? "\"ok\": true" : says);
			if (json)
				EXPECT(!strict_json(child.out), "not JSON: %s", child.out);
			run_dir_is_empty();
		}
}

static void doctor(int code, const char *option)
{
	NMX_RUN(&child, "doctor", "--dir", run_dir, option);
	EXPECT(child.code == code && !*child.err, "doctor %s: %d %s", option, child.code, child.err);
	NMX_RUN(&second, "doctor", "--dir", run_dir, "--json", strcmp(option, "--clean") == 0 ? "--" : option);
	EXPECT(second.code == code && !*second.err, "doctor --json %s: %d %s", option, second.code, second.err);
	EXPECT(!strict_json(second.out), "doctor %s: not JSON: %s", option, second.out);
}

static void the_living_are_shown_and_left_alone(void)
{
	struct child gen;

	NMX_START(&first, "sink", "x}1", "--dir", run_dir, "-q", "--verify");
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--verify", "-r", "10k");
	run_await_processes(2);
	doctor(0, "--");
	child_says(&child, "2 processes, 0 dead, 1 pipe");
	child_says(&child, "x{1");
	child_says(&child, "x}1");
	doctor(0, "--clean");
	child_says(&child, "0 dead recovered");
	EXPECT(NMX_RUN(&child, "doctor", "x{1", "--dir", run_dir) == 1, "%d", child.code);
	child_says(&child, "open already, by");
	kill(gen.pid, SIGINT);
	child_ends(&gen, 0);
	child_ends(&first, 0);
	doctor(0, "--");
	child_says(&child, "none");
	run_dir_is_empty();
}

/* Both ends die with packets under way: seen, counted, and cleaned; then nothing is left. */
static void the_dead_are_found_and_cleaned(void)
{
	struct child gen;

	NMX_START(&first, "pong", "x}1", "--dir", run_dir, "-q");
	NMX_START(&gen, "ping", "x{1", "--dir", run_dir, "-q", "-n", "1G");
	run_await_processes(2);
	kill(first.pid, SIGSTOP);
	sleep_ms(20);
	kill(gen.pid, SIGKILL);
	kill(first.pid, SIGKILL);
	child_wait(&first, 5000);
	child_wait(&gen, 5000);
	doctor(0, "--audit");
	child_says(&child, "0 processes, 2 dead, 1 pipe");
	child_says(&child, "0 lost, 0 doubled");
	child_says(&child, "--clean");
	EXPECT(json_number(&second, "dead") == 2 && json_number(&second, "lost") == 0, "%s", second.out);
	doctor(0, "--clean");
	child_says(&child, "2 dead recovered, and removed");
	run_dir_is_empty();
}

/* One dies, the other lives: what the dead held goes back while the other goes on. */
static void one_dead_among_the_living(void)
{
	struct child gen;

	NMX_START(&first, "pong", "y}1", "--dir", run_dir, "-q");
	NMX_START(&gen, "gen", "x{1", "--dir", run_dir, "-q", "--timeout", "20");
	run_await_processes(2);
	kill(gen.pid, SIGKILL);
	child_wait(&gen, 5000);
	doctor(0, "--audit");
	child_says(&child, "1 process, 1 dead");
	doctor(0, "--clean");
	child_says(&child, "1 dead recovered");
	doctor(0, "--audit");
	child_says(&child, "1 process, 0 dead, 1 pipe");
	child_says(&child, "every buffer has one owner");
	kill(first.pid, SIGINT);
	child_ends(&first, 0);
	run_dir_is_empty();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	pings_are_answered("3000", "60", "--");
	pings_are_answered("3000", "1500", "--");
	pings_are_answered("300", "60", "--spin");
	ping_alone();
	death_between_pings();
	names_of_every_kind();
	the_living_are_shown_and_left_alone();
	the_dead_are_found_and_cleaned();
	one_dead_among_the_living();
	demo_stops();
	setenv("NMX_BACKEND", "netmap", 1); /* it is about pipes in shared memory, whatever else is used here */
	demo_ends_well("--json");
	unsetenv("NMX_BACKEND");
	return expect_result();
}
