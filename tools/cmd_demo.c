/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "clock.h"
#include "demo.h"
#include "live.h"
#include "say.h"
#include "stop.h"
#include "summary.h"
#include "units.h"

struct demo_options {
	bool json;
};

static const struct opt demo_opts[] = {
	{ 0, "json", OPT_FLAG, offsetof(struct demo_options, json), NULL, "results as one JSON object", 0, 0 },
};

static const struct demo_case cases[] = {
	{ "60 bytes, in place", 60, DEMO_IN_PLACE, 1500 },     { "60 bytes, copied", 60, DEMO_COPY, 1500 },
	{ "1500 bytes, in place", 1500, DEMO_IN_PLACE, 1500 }, { "1500 bytes, copied", 1500, DEMO_COPY, 1500 },
	{ "round trip, polling", 60, DEMO_PING_SPIN, 1000 },   { "round trip, sleeping", 60, DEMO_PING_SLEEP, 1000 },
};
#define CASES (sizeof(cases) / sizeof(*cases))

struct style {
	const char *bold, *good, *bad, *plain;
};

static struct style style_for(int fd)
{
	if (live_colour(fd))
		return (struct style){ "\033[1m", "\033[32m", "\033[31m", "\033[0m" };
	return (struct style){ "", "", "", "" };
}

struct machine {
	struct utsname name;
	long cores;
	uint64_t shm_bytes; /* free; 0: there is no /dev/shm */
	bool netmap;
};

static void look_at_machine(struct machine *m)
{
	struct statvfs fs;

	memset(m, 0, sizeof(*m));
	uname(&m->name);
	m->cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (statvfs("/dev/shm", &fs) == 0)
		m->shm_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	m->netmap = access("/dev/netmap", F_OK) == 0;
}

static void say_machine(const struct machine *m)
{
	char text[UNITS_TEXT];

	printf("machine  %s %s, %s, %ld cores\n", m->name.sysname, m->name.release, m->name.machine, m->cores);
	printf("memory   /dev/shm %s\n",
	       m->shm_bytes ? units_scaled(text, (double)m->shm_bytes, "B free") : "is not there");
	printf("netmap   %s\n",
	       m->netmap ? "/dev/netmap is there" : "no /dev/netmap: rings are served in user space, as below");
	puts("\nTwo processes and a pipe in shared memory; every byte of every packet is checked.\n");
}

static void json_machine(const struct machine *m, struct json *json)
{
	json_object(json, "machine");
	json_text(json, "system", m->name.sysname);
	json_text(json, "release", m->name.release);
	json_text(json, "architecture", m->name.machine);
	json_u64(json, "cores", m->cores > 0 ? (uint64_t)m->cores : 0);
	json_u64(json, "shm_free_bytes", m->shm_bytes);
	json_bool(json, "netmap", m->netmap);
	json_close_object(json);
}

static void say_stream(const struct demo_result *r, const struct style *style, bool good)
{
	char packets[UNITS_TEXT];
	double seconds = r->seconds > 0 ? r->seconds : 1;

	printf(" %13s %8.2f %8.2f  %s%6llu %6llu %8llu%s\n", units_grouped(packets, r->received),
	       (double)r->received / seconds / 1e6, (double)r->bytes * 8 / seconds / 1e9,
	       good ? style->good : style->bad, (unsigned long long)r->lost, (unsigned long long)r->duplicate,
	       (unsigned long long)r->corrupt, style->plain);
}

static void say_ping(const struct demo_result *r, const struct style *style, bool good)
{
	char packets[UNITS_TEXT], p50[UNITS_TEXT], p99[UNITS_TEXT];

	printf(" %13s  p50 %-8s p99 %-8s %s%5llu lost%s\n", units_grouped(packets, r->received),
	       units_time(p50, hist_percentile(&r->rtt, 50)), units_time(p99, hist_percentile(&r->rtt, 99)),
	       good ? style->good : style->bad, (unsigned long long)r->lost, style->plain);
}

static void json_case(const struct demo_case *c, const struct demo_result *r, struct json *json, bool good)
{
	json_object(json, NULL);
	json_text(json, "case", c->name);
	json_u64(json, "len", c->len);
	json_u64(json, "sent", r->sent);
	if (demo_is_ping(c)) {
		json_u64(json, "answered", r->received);
		hist_json(&r->rtt, json, "round_trip_ns");
	} else {
		summary_json(json, r->received, r->bytes, r->seconds);
		json_u64(json, "duplicate", r->duplicate);
		json_u64(json, "reordered", r->reordered);
	}
	json_u64(json, "lost", r->lost);
	json_u64(json, "corrupt", r->corrupt);
	json_bool(json, "ok", good);
	json_close_object(json);
}

/* json is NULL for people.  The name of a case is on the screen while it runs. */
static bool run_case(const struct demo_case *c, const char *directory, struct json *json)
{
	static struct demo_result result; /* has a histogram */
	struct style style = style_for(STDOUT_FILENO);

	if (!json)
		printf("%-21s", c->name);
	fflush(stdout); /* and so that the child does not write it again */
	bool good = demo_run_case(c, directory, &result);
	if (json)
		json_case(c, &result, json, good);
	else if (demo_is_ping(c))
		say_ping(&result, &style, good);
	else
		say_stream(&result, &style, good);
	return good;
}

static bool run_all(const char *directory, struct json *json)
{
	struct style style = style_for(STDOUT_FILENO);
	bool good = true;
	size_t i;

	if (!json)
		printf("%s%-21s %13s %8s %8s  %6s %6s %8s%s\n", style.bold, "case", "packets", "Mpps", "Gbit/s",
		       "lost", "dup", "corrupt", style.plain);
	for (i = 0; i < CASES && !stop_asked(); i++)
		good &= run_case(&cases[i], directory, json);
	return good && i == CASES && !stop_asked();
}

static void say_verdict(bool good)
{
	struct style style = style_for(STDOUT_FILENO);

	if (good)
		printf("\n%severy packet arrived, once, in order and intact%s\n", style.good, style.plain);
	else
		printf("\n%s%s%s\n", style.bad, stop_asked() ? "stopped" : "something went wrong: see above",
		       style.plain);
}

static int demo_run(const void *given)
{
	const struct demo_options *options = given;
	struct machine machine;
	struct json json;
	char directory[128];

	if (demo_directory(directory, sizeof(directory)) < 0)
		return say("demo", "%s: %s", directory, strerror(errno));
	look_at_machine(&machine);
	if (options->json) {
		json_begin(&json, stdout);
		json_machine(&machine, &json);
		json_array(&json, "cases");
	} else {
		say_machine(&machine);
	}
	bool good = run_all(directory, options->json ? &json : NULL);
	demo_remove(directory);
	if (options->json) {
		json_close_array(&json);
		json_bool(&json, "ok", good);
		json_end(&json);
	} else {
		say_verdict(good);
	}
	return summary_exit("demo", stdout, good);
}

const struct command cmd_demo = {
	.name = "demo",
	.summary = "show in ten seconds that it works here, and how fast",
	.details = "Needs no privilege, and leaves nothing behind.\n",
	.opts = demo_opts,
	.num_opts = sizeof(demo_opts) / sizeof(*demo_opts),
	.size = sizeof(struct demo_options),
	.defaults = &(const struct demo_options){ .json = false },
	.run = demo_run,
};
