/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What works here and what does not, why, and what would mend it; what processes that died have left. */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "doctor_interface.h"
#include "json.h"
#include "say.h"
#include "summary.h"
#include "units.h"

struct doctor_options {
	const char *name, *directory, *segment;
	bool clean, audit, json;
};

/* What the walk over the directory needs at each step; `json` is NULL when text is wanted. */
struct visit {
	const struct doctor_options *options;
	struct json *json;
	bool ok;
	unsigned dead;
};

#define AT(field) offsetof(struct doctor_options, field)
/* clang-format off */
static const struct opt doctor_opts[] = {
	{ 0, NULL, OPT_TEXT, AT(name), "[NAME]", "a port: what it would be, and whether it could be opened now", 0, 0 },
	{ 0, "clean", OPT_FLAG, AT(clean), NULL, "give back what dead processes left; remove segments that nobody uses", 0, 0 },
	{ 0, "audit", OPT_FLAG, AT(audit), NULL, "check that every buffer has one owner; exact only while nothing moves", 0, 0 },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "one JSON object", 0, 0 },
	{ 0, "dir", OPT_TEXT, AT(directory), "DIR", "directory of pipes and switches", 0, 0 },
	{ 0, "segment", OPT_TEXT, AT(segment), "NAME", "only this segment of it", 0, 0 },
};
/* clang-format on */

/* ---- the machine */

static void show_machine(struct json *json)
{
	struct utsname uts = { .sysname = "?" };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit files = { 0, 0 };

	uname(&uts);
	getrlimit(RLIMIT_NOFILE, &files);
	if (json) {
		json_object(json, "machine");
		json_text(json, "system", uts.sysname);
		json_text(json, "release", uts.release);
		json_text(json, "machine", uts.machine);
		json_u64(json, "processors", (uint64_t)cpus);
		json_u64(json, "descriptors", files.rlim_cur);
		json_text(json, "nmx", nmx_version());
		json_close_object(json);
		return;
	}
	printf("nmx %s on %s %s, %s, %ld processor%s, %llu descriptors a process\n", nmx_version(), uts.sysname, uts.release,
	       uts.machine, cpus, cpus == 1 ? "" : "s", (unsigned long long)files.rlim_cur);
}

static void show_backends(const struct doctor_options *options, struct json *json)
{
	static const enum nmx_backend all[] = { NMX_PIPE, NMX_LOOP, NMX_NULL, NMX_PCAP, NMX_NETMAP, NMX_XDP, NMX_SWITCH };
	struct nmx_report why;

	if (json)
		json_array(json, "backends");
	else
		printf("\nbackends\n");
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int err = nmx_backend_probe(all[i], options->directory, &why);

		if (json) {
			json_object(json, NULL);
			json_text(json, "name", nmx_backend_name(all[i]));
			json_bool(json, "works", err == 0);
			json_text(json, "why", err ? why.text : "");
			json_text(json, "is", err ? "" : why.text);
			json_close_object(json);
		} else
			printf("  %-8s %-4s %s\n", nmx_backend_name(all[i]), err ? "no" : "yes", why.text);
	}
	if (json)
		json_close_array(json);
}

/* ---- segments */

static int show_pipe(const struct nmx_pipe_info *pipe, void *arg)
{
	struct visit *visit = arg;
	char other[sizeof(pipe->name)];

	snprintf(other, sizeof(other), "%s", pipe->name);
	for (char *c = other; *c; c++)
		if (*c == '{')
			*c = '}';
	if (visit->json) {
		json_object(visit->json, NULL);
		json_text(visit->json, "name", pipe->name);
		for (int end = 0; end < 2; end++) {
			json_object(visit->json, end ? other : pipe->name);
			json_text(visit->json, "user", pipe->user[end]);
			json_u64(visit->json, "slots", pipe->slots[end]);
			json_u64(visit->json, "sent_and_not_taken", pipe->queued[end]);
			json_u64(visit->json, "lost_unread", pipe->gone[end].drop_unread);
			json_close_object(visit->json);
		}
		json_close_object(visit->json);
		return 0;
	}
	for (int end = 0; end < 2; end++)
		printf("    %-12s %-28s %5u slots, %llu sent and not taken\n", end ? other : pipe->name,
		       *pipe->user[end] ? pipe->user[end] : "(not open)", pipe->slots[end], (unsigned long long)pipe->queued[end]);
	return 0;
}

static void show_pipes(struct visit *visit, const char *segment)
{
	struct nmx_report why;

	if (visit->json)
		json_array(visit->json, "pipes");
	if (nmx_pipe_list(visit->options->directory, segment, show_pipe, visit, &why) < 0 && !visit->json)
		printf("    %s\n", why.text);
	if (visit->json)
		json_close_array(visit->json);
}

static void audit(struct visit *visit, const char *segment)
{
	struct nmx_audit a;
	struct nmx_report why;
	int err = nmx_segment_audit(visit->options->directory, segment, &a, &why);
	bool clean = err == 0 && a.lost == 0 && a.doubled == 0;

	visit->ok &= clean;
	if (visit->json) {
		json_object(visit->json, "audit");
		json_bool(visit->json, "clean", clean);
		json_text(visit->json, "error", err ? why.text : "");
		json_u64(visit->json, "free", err ? 0 : a.free);
		json_u64(visit->json, "queued", err ? 0 : a.queued);
		json_u64(visit->json, "held", err ? 0 : a.held);
		json_u64(visit->json, "quarantined", err ? 0 : a.quarantined);
		json_u64(visit->json, "lost", err ? 0 : a.lost);
		json_u64(visit->json, "doubled", err ? 0 : a.doubled);
		json_close_object(visit->json);
	} else if (err)
		printf("    audit: %s\n", why.text);
	else
		printf("    audit: %u free, %u in queues, %u held, %u in quarantine, %u lost, %u doubled: %s\n", a.free, a.queued, a.held,
		       a.quarantined, a.lost, a.doubled, clean ? "every buffer has one owner" : "they do not add up (exact only while nothing moves)");
}

static void clean(struct visit *visit, const char *segment)
{
	struct nmx_report why;
	bool removed;
	int found = nmx_segment_clean(visit->options->directory, segment, &removed, &why);

	visit->ok &= found >= 0;
	if (visit->json) {
		json_object(visit->json, "clean");
		json_text(visit->json, "error", found < 0 ? why.text : "");
		json_u64(visit->json, "dead", found < 0 ? 0 : (uint64_t)found);
		json_bool(visit->json, "removed", found >= 0 && removed);
		json_close_object(visit->json);
	} else if (found < 0)
		printf("    clean: %s\n", why.text);
	else
		printf("    clean: %d dead recovered%s\n", found, removed ? ", and removed, for nobody is in it" : "");
}

static const char *plural(uint32_t n) { return n == 1 ? "" : "s"; }

static void say_segment(const struct nmx_segment_info *info)
{
	printf("  %-10s %u process%s, %u dead, %u pipe%s", info->name, info->members, info->members == 1 ? "" : "es", info->dead, info->pipes,
	       plural(info->pipes));
	if (info->switches)
		printf(", %u switch%s with %u port%s", info->switches, info->switches == 1 ? "" : "es", info->switch_ports,
		       plural(info->switch_ports));
	printf(", %u of %u buffers free, %llu KiB in use\n", info->free_bufs, info->bufs, (unsigned long long)info->bytes / 1024);
}

static int show_segment(const struct nmx_segment_info *info, void *arg)
{
	struct visit *visit = arg;
	const char *only = visit->options->segment;

	if (only && strcmp(only, info->name) != 0)
		return 0;
	visit->dead += info->dead;
	if (visit->json) {
		json_object(visit->json, NULL);
		json_text(visit->json, "name", info->name);
		json_text(visit->json, "problem", info->err ? info->problem : "");
		json_u64(visit->json, "processes", info->members);
		json_u64(visit->json, "dead", info->dead);
		json_u64(visit->json, "switches", info->switches);
		json_u64(visit->json, "switch_ports", info->switch_ports);
		json_u64(visit->json, "buffers", info->bufs);
		json_u64(visit->json, "free", info->free_bufs);
		json_u64(visit->json, "bytes", info->bytes);
	} else if (info->err)
		printf("  %-10s %s\n", info->name, info->problem);
	else
		say_segment(info);
	if (!info->err)
		show_pipes(visit, info->name);
	if (!info->err && visit->options->audit)
		audit(visit, info->name);
	if (!info->err && visit->options->clean)
		clean(visit, info->name);
	if (visit->json)
		json_close_object(visit->json);
	return 0;
}

static void show_directory_line(const char *path)
{
	struct statvfs fs;

	printf("\nsegments in %s", path);
	if (statvfs(path, &fs) == 0)
		printf(" (%llu of %llu MiB free)", (unsigned long long)fs.f_bavail * fs.f_frsize >> 20,
		       (unsigned long long)fs.f_blocks * fs.f_frsize >> 20);
	putchar('\n');
}

static int no_segment(const struct nmx_segment_info *info, void *arg)
{
	(void)info, (void)arg;
	return 1;
}

static void show_segments(struct visit *visit)
{
	struct nmx_report why;
	char path[256];
	int any = nmx_segment_list(visit->options->directory, path, sizeof(path), no_segment, NULL, &why);

	if (any < 0) {
		visit->ok = false;
		if (visit->json)
			json_text(visit->json, "directory_problem", why.text);
		else
			printf("\nsegments\n  %s\n", why.text);
		return;
	}
	if (visit->json) {
		json_text(visit->json, "directory", path);
		json_array(visit->json, "segments");
	} else
		show_directory_line(path);
	if (any == 0 && !visit->json)
		printf("  none\n");
	if (nmx_segment_list(visit->options->directory, NULL, 0, show_segment, visit, &why) < 0)
		visit->ok = false;
	if (visit->json)
		json_close_array(visit->json);
	else if (visit->dead && !visit->options->clean)
		printf("  dead processes have left buffers: the next open gives them back, or now: nmx doctor --clean\n");
}

/* ---- a name */

static void explain(struct visit *visit)
{
	const struct doctor_options *o = visit->options;
	struct nmx_options options = { .directory = o->directory, .segment = o->segment };
	struct nmx_report why;
	int err = nmx_name_explain(o->name, &options, &why);

	visit->ok &= err == 0;
	if (visit->json) {
		json_object(visit->json, "port");
		json_text(visit->json, "name", o->name);
		json_bool(visit->json, "can_be_opened", err == 0);
		json_text(visit->json, "error", err ? nmx_error_name(err) : "");
		json_text(visit->json, "text", why.text);
		json_close_object(visit->json);
	} else
		printf("%s: %s %s\n\n", o->name, err ? "no," : "yes,", why.text);
}

static int doctor_command(const void *given)
{
	const struct doctor_options *options = given;
	struct json json;
	struct visit visit = { .options = options, .json = options->json ? &json : NULL, .ok = true };

	if (options->json)
		json_begin(&json, stdout);
	if (options->name) {
		explain(&visit); /* what was asked comes first */
		visit.ok &= doctor_interface(options->name, visit.json);
	}
	show_machine(visit.json);
	show_backends(options, visit.json);
	show_segments(&visit);
	if (options->json) {
		json_bool(&json, "ok", visit.ok);
		json_end(&json);
	}
	return summary_exit("doctor", stdout, visit.ok);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "say what works here, and clean up after the dead",
	.details = "Of an interface it knows the traps: what is found, why it matters, and the command that mends it.  Nothing\n"
		   "is opened or changed.\n"
		   "Exit status 1: the port cannot be opened, or there is trouble with it, or buffers do not add up, or\n"
		   "cleaning failed.\n",
	.opts = doctor_opts,
	.num_opts = sizeof(doctor_opts) / sizeof(*doctor_opts),
	.size = sizeof(struct doctor_options),
	.defaults = &(const struct doctor_options){ .name = NULL },
	.run = doctor_command,
};
