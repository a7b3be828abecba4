/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The examples that carry files, and the one with a thread for each ring, between two interfaces of several queues. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

enum { NEAR, FAR, MTU = 1500, QUEUES = 4 };

static struct child sender, receiver;
static char file[600], copy[600];

static const char *path_of(const char *example)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", net_args.examples, example);
	return path;
}

static char *read_whole(const char *path, size_t *size)
{
	FILE *in = fopen(path, "rb");
	char *data = malloc(1 << 20);

	*size = in && data ? fread(data, 1, 1 << 20, in) : 0;
	if (in)
		fclose(in);
	return data;
}

static void write_file(size_t size)
{
	FILE *out = fopen(file, "wb");

	for (size_t i = 0; i < size && out; i++)
		fputc((int)(i * 2654435761u >> 13), out);
	EXPECT(out && fclose(out) == 0, "%s cannot be written", file);
}

static void a_file_is_carried_by(const char *example, size_t size)
{
	size_t sent, received;
	char *is, *was;

	write_file(size);
	net_start(FAR, &receiver, ARGV(path_of(example), "receive", "eth0", copy));
	if (!net_await_port(&receiver))
		return;
	net_start(NEAR, &sender, ARGV(path_of(example), "send", "eth0", file));
	child_ends(&sender, 0);
	child_ends(&receiver, 0);
	printf("%s: %s%s", example, sender.out, receiver.out);
	was = read_whole(file, &sent);
	is = read_whole(copy, &received);
	EXPECT(sent == size && received == size && memcmp(is, was, size) == 0, "%s: %zu bytes of %zu, or others", example, received, sent);
	free(is);
	free(was);
	remove(file);
	remove(copy);
}

static void each_worker_moves_its_ring(void)
{
	const char *at;

	net_start(FAR, &receiver, ARGV(path_of("thread_per_ring"), "receive", "eth0", "-n", "500"));
	if (!child_will_say(&receiver, "worker 3 on CPU", 10000))
		return;
	net_start(NEAR, &sender, ARGV(path_of("thread_per_ring"), "send", "eth0", "-n", "500"));
	child_ends(&sender, 0);
	child_ends(&receiver, 0);
	at = receiver.out;
	for (int i = 0; i < QUEUES && at; i++)
		at = strstr(at + 1, ": 500 packets\n");
	EXPECT(at, "not 500 packets of each ring: %s", receiver.out);
	child_says(&sender, "in all 2000 packets");
	child_says(&receiver, "in all 2000 packets");
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 2);
	net_needs_ports();
	setenv("NMX_DIR", run_dir, 1);
	snprintf(file, sizeof(file), "%s-file", run_dir);
	snprintf(copy, sizeof(copy), "%s-copy", run_dir);
	net_join(NEAR, "eth0", FAR, "eth0", QUEUES, MTU, NET_QUIET);
	net_snapshot(FAR, "eth0", &before);
	a_file_is_carried_by("sliding_window_arq", 500000);
	if (access(path_of("fec"), X_OK) == 0)
		a_file_is_carried_by("fec", 100000);
	else
		printf("skipped fec: it was built without ISA-L (libisal-dev)\n");
	each_worker_moves_its_ring();
	net_same_within(FAR, "eth0", &before, 1000);
	run_dir_is_empty();
	return expect_result();
}
