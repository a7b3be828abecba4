/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The command's tools on ports of a switch: gen and sink, ping and pong, bridge, dump. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "strict_json.h"

static struct child gen, sink, other;

#define COUNT "50000"

static void intact(int64_t count)
{
	child_ends(&gen, 0);
	child_ends(&sink, 0);
	EXPECT(!strict_json(gen.out), "not JSON: %s", gen.out);
	EXPECT(json_number(&sink, "intact") == count, "%s", sink.out);
	EXPECT(json_number(&sink, "lost") == 0 && json_number(&sink, "reordered") == 0 && json_number(&sink, "duplicate") == 0, "%s",
	       sink.out);
}

static void what_gen_sends_the_sink_gets(void)
{
	NMX_START(&sink, "sink", "vale0:b", "--dir", run_dir, "-q", "--json", "--verify", "-n", COUNT);
	run_await_processes(1);
	NMX_START(&gen, "gen", "vale0:a@block", "--dir", run_dir, "-q", "--json", "--verify", "-n", COUNT, "-l", "60-1514", "--flows", "7");
	intact(atoi(COUNT));
	run_dir_is_empty();
}

static void what_does_not_wait_and_is_lost_is_named(void)
{
	const int64_t on_the_way = 2 * 256; /* when the sink is told to end: in the queue, and in the ring */
	int64_t sent, got, full;

	NMX_START(&sink, "sink", "vale0:b", "--dir", run_dir, "-q", "--json", "--verify");
	run_await_processes(1);
	NMX_START(&gen, "gen", "vale0:a", "--dir", run_dir, "-q", "--json", "--verify", "-n", COUNT);
	child_wait(&gen, patience(20000));
	sleep_ms(200);
	kill(sink.pid, SIGINT);
	child_wait(&sink, patience(20000));
	sent = json_number(&gen, "packets");
	got = json_number(&sink, "intact");
	EXPECT(sent == atoi(COUNT), "%s", gen.out);
	full = json_has(&gen, "full") ? json_number(&gen, "full") : 0;
	EXPECT(got + full <= sent && got + full + on_the_way >= sent, "%s%s", gen.out, sink.out);
	run_dir_is_empty();
}

static void pong_answers_ping(void)
{
	NMX_START(&other, "pong", "vale0:p", "--dir", run_dir, "-q");
	run_await_processes(1);
	NMX_START(&gen, "ping", "vale0:q", "--dir", run_dir, "-n", "500", "-q");
	child_ends(&gen, 0);
	kill(other.pid, SIGINT);
	child_ends(&other, 0);
	run_dir_is_empty();
}

static void a_bridge_leads_from_a_switch_to_a_pipe(void)
{
	NMX_START(&other, "bridge", "--dir", run_dir, "-q", "--json", "vale0:c@block", "x{1");
	run_await_processes(1);
	NMX_START(&sink, "sink", "x}1", "--dir", run_dir, "-q", "--json", "--verify", "-n", COUNT);
	run_await_processes(2);
	NMX_START(&gen, "gen", "vale0:a@block", "--dir", run_dir, "-q", "--json", "--verify", "-n", COUNT);
	intact(atoi(COUNT));
	kill(other.pid, SIGINT);
	child_wait(&other, patience(10000));
	child_says(&other, "\"exchange\": true");
	EXPECT(json_number(&other, "bytes_copied") == 0, "%s", other.out);
	run_dir_is_empty();
}

static void dump_sees_what_goes_to_all(void)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/all.pcap", run_dir);
	NMX_START(&other, "dump", "vale0:d", file, "--dir", run_dir, "-q", "-n", "100");
	run_await_processes(1);
	NMX_START(&gen, "gen", "vale0:a@block", "--dir", run_dir, "-q", "--json", "-n", "100");
	child_ends(&gen, 0);
	child_ends(&other, 0);
	unlink(file);
	run_dir_is_empty();
}

static void a_switch_says_how_long_it_remembers(void)
{
	const char *reason;

	NMX_RUN(&other, "switch", "create", "vale0", "--ageing", "60", "--dir", run_dir);
	EXPECT(other.code == 0, "%s", other.err);
	NMX_RUN(&other, "switch", "show", "vale0", "--dir", run_dir);
	child_says(&other, "vale0: 0 ports, 0 addresses, forgotten after 60 s; stays");
	NMX_RUN(&other, "switch", "show", "vale0", "--json", "--dir", run_dir);
	reason = strict_json(other.out);
	EXPECT(!reason, "%s: %s", reason, other.out);
	EXPECT(json_number(&other, "ageing_seconds") == 60, "%s", other.out);
	NMX_RUN(&other, "switch", "remove", "vale0", "--dir", run_dir);
	EXPECT(other.code == 0, "%s", other.err);
	NMX_RUN(&other, "switch", "create", "vale0", "--ageing", "86401", "--dir", run_dir);
	EXPECT(other.code == 2, "%d: %s", other.code, other.err);
	child_says(&other, "86401");
	NMX_RUN(&other, "switch", "create", "vale0:a", "--ageing", "60", "--dir", run_dir);
	EXPECT(other.code == 1, "%d: %s", other.code, other.err);
	child_says(&other, "\"vale0:a\" is a port; write vale0");
	run_dir_is_empty();
}

/* What stays without ports is found, and what is wrong is not taken for nothing. */
static void what_there_is_is_shown(void)
{
	const char *reason;

	NMX_RUN(&other, "switch", "list", "--dir", run_dir);
	child_says(&other, "no switches");
	NMX_RUN(&other, "switch", "show", "vale3", "--dir", run_dir);
	EXPECT(other.code == 1, "%d: %s", other.code, other.out);
	child_says(&other, "there is no switch \"vale3\"");
	NMX_RUN(&other, "switch", "create", "vale3", "--dir", run_dir);
	NMX_RUN(&other, "switch", "create", "vale1:p", "--dir", run_dir);
	NMX_RUN(&other, "switch", "list", "--dir", run_dir);
	child_says(&other, "no ports vale3");
	child_says(&other, "vale1:p");
	NMX_RUN(&other, "switch", "list", "--json", "--dir", run_dir);
	reason = strict_json(other.out);
	EXPECT(!reason, "%s: %s", reason, other.out);
	child_says(&other, "{\"name\": \"vale3\", \"backend\": \"switch\"");
	NMX_RUN(&other, "switch", "show", "--dir", run_dir);
	child_says(&other, "vale3: 0 ports");
	child_says(&other, "vale1: 1 port,");
	NMX_RUN(&other, "switch", "show", "vale9", "--json", "--dir", run_dir);
	reason = strict_json(other.out);
	EXPECT(!reason, "%s: %s", reason, other.out);
	EXPECT(other.code == 1, "%d: %s", other.code, other.out);
	child_says(&other, "\"switches\": [], \"error\": \"there is no switch");
	NMX_RUN(&other, "doctor", "--dir", run_dir);
	child_says(&other, "2 switches with 1 port,");
	NMX_RUN(&other, "switch", "remove", "vale1", "--dir", run_dir);
	EXPECT(other.code == 1, "%d: %s", other.code, other.out);
	child_says(&other, "was not made to stay");
	NMX_RUN(&other, "switch", "remove", "vale1:p", "--dir", run_dir);
	NMX_RUN(&other, "switch", "remove", "vale3", "--dir", run_dir);
	run_dir_is_empty();
}

static void write_segment(const void *bytes, size_t size)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/default", run_dir);
	file = fopen(path, "w");
	EXPECT(file && fwrite(bytes, 1, size, file) == size, "%s cannot be written", path);
	if (file)
		fclose(file);
}

/* Looking meets segments whose first user is still making them. */
static void in_a_segment_that_is_only_begun_there_are_no_switches(void)
{
	static const char *const actions[] = { "list", "show" };

	for (int i = 0; i < 2; i++) {
		write_segment("", 0);
		NMX_RUN(&other, "switch", actions[i], "--dir", run_dir);
		EXPECT(other.code == 0, "%s: %d: %s", actions[i], other.code, other.err);
		child_says(&other, "no switches");
		write_segment("mine", 4);
		NMX_RUN(&other, "switch", actions[i], "--dir", run_dir);
		EXPECT(other.code == 1, "%s: %d: %s", actions[i], other.code, other.err);
		child_says(&other, "is not a segment of nmx");
	}
	write_segment("", 0);
	NMX_RUN(&other, "switch", "create", "vale0", "--dir", run_dir);
	NMX_RUN(&other, "switch", "remove", "vale0", "--dir", run_dir);
	run_dir_is_empty();
}

static void refused(const char *action, const char *name, const char *option, const char *value, int code, const char *says)
{
	NMX_RUN(&other, "switch", action, "--dir", run_dir, name, option, value);
	EXPECT(other.code == code, "%s: %d, not %d: %s", action, other.code, code, other.err);
	EXPECT(strstr(other.err, says), "%s: does not say \"%s\": %s", action, says, other.err);
	run_dir_is_empty();
}

static void what_makes_no_sense_is_refused(void)
{
	refused("create", "vale0", "--host", NULL, 2, "--host is an option of attach, not of create");
	refused("attach", "vale0:x", "--rings", "2", 2, "--rings is an option of create, not of attach");
	refused("remove", "vale0", "--slots", "8", 2, "--slots is an option of create and attach, not of remove");
	refused("show", "vale1:p", NULL, NULL, 2, "nmx switch show vale1");
	refused("list", "vale1:p", NULL, NULL, 2, "nmx switch show vale1\n");
	refused("list", "--segment", "../etc", NULL, 1, "\"../etc\"");
	for (int show = 0; show < 2; show++) {
		const char *action = show ? "show" : "list";

		NMX_RUN(&other, "switch", action, "--dir", "/nonexistent/dir");
		EXPECT(other.code == 1, "%s: %d", action, other.code);
		child_says(&other, "does not exist");
		setenv("NMX_BACKEND", "bla", 1);
		refused(action, "--json", NULL, NULL, 1, "NMX_BACKEND is \"bla\"");
		setenv("NMX_BACKEND", "pipe", 1);
		refused(action, "--json", NULL, NULL, 1, "the pipe backend has no switches");
		unsetenv("NMX_BACKEND");
	}
}


static void what_a_switch_cannot_be_is_explained(void)
{
	NMX_RUN(&other, "switch", "create", "--dir", run_dir);
	EXPECT(other.code == 2, "%d: %s", other.code, other.err);
	child_says(&other, "nmx switch create vale0");
	NMX_RUN(&other, "switch", "create", "v0", "--dir", run_dir);
	EXPECT(other.code == 1, "%d: %s", other.code, other.err);
	child_says(&other, "\"v0\": a switch in user space begins with vale; write vale0");
	NMX_RUN(&other, "switch", "create", "vale0", "--rings", "2", "--dir", run_dir);
	EXPECT(other.code == 1, "%d: %s", other.code, other.err);
	child_says(&other, "rings and slots are a port's, and \"vale0\" is a switch");
	run_dir_is_empty();
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	what_gen_sends_the_sink_gets();
	what_does_not_wait_and_is_lost_is_named();
	what_a_switch_cannot_be_is_explained();
	pong_answers_ping();
	a_bridge_leads_from_a_switch_to_a_pipe();
	dump_sees_what_goes_to_all();
	a_switch_says_how_long_it_remembers();
	what_there_is_is_shown();
	in_a_segment_that_is_only_begun_there_are_no_switches();
	what_makes_no_sense_is_refused();
	return expect_result();
}
