/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What hosts say to each other, by the kernel's own stack: the traffic that has to get through a bridge.
 *
 *   talk ping    ADDRESS COUNT INTERVAL_MS        echo requests, one after the other, each given a second
 *   talk watch   ADDRESS INTERVAL_MS              the same until SIGTERM, each given a tenth of one
 *   talk serve   ADDRESS PORT                     takes connections until it is killed
 *   talk send    ADDRESS PORT BYTES               one connection to serve, which compares every byte
 *   talk connect ADDRESS PORT COUNT               connections of a hundred bytes each way, one after the other
 *   talk flood   ADDRESS PORT                     UDP packets, about 20,000 a second, from 16 ports, until it is killed
 *   talk hear    ADDRESS PORT                     prints the first UDP packet that comes
 *   talk flows   ADDRESS PORT COUNT PACKETS       so many UDP packets from each of COUNT ports
 *
 * ADDRESS is numeric, IPv4 or IPv6 ("fe80::1%eth0").  One JSON object at the end; the code is 0 when all went well.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The stream: this block over and over.  Its length is prime, so that no packet's or buffer's length divides it, and a
 * piece that is lost, doubled or moved shows. */
enum { BLOCK = 1000003, PIECE = 1 << 17, SHORT_BYTES = 100, PING_MS = 1000, WATCH_MS = 100 };
static unsigned char block[BLOCK], piece[PIECE];
static volatile sig_atomic_t stop;

struct reply {
	uint64_t bytes, wrong;
};

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void __attribute__((__noreturn__)) die(const char *what)
{
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void make_block(void)
{
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < BLOCK; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		block[i] = (unsigned char)(x >> 24);
	}
}

static int look_up(const char *address, const char *port, int type, struct sockaddr_storage *to, socklen_t *len)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = type }, *found;
	int err = getaddrinfo(address, port, &hints, &found);

	if (err) {
		fprintf(stderr, "talk: %s: %s\n", address, gai_strerror(err));
		exit(2);
	}
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return to->ss_family;
}

/* ---- ping */

static uint16_t internet_checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Echo request and reply look alike in both families but for the type; the kernel sums ICMPv6. */
static bool echo(int fd, int family, const struct sockaddr_storage *to, socklen_t to_len, uint16_t sequence,
                 int answer_ms)
{
	struct icmphdr request = { .type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST }, answer;
	uint8_t packet[2048];
	double deadline = now() + answer_ms / 1e3;

	request.un.echo.id = htons((uint16_t)getpid());
	request.un.echo.sequence = htons(sequence);
	if (family == AF_INET)
		request.checksum = internet_checksum(&request, sizeof(request));
	if (sendto(fd, &request, sizeof(request), 0, (const struct sockaddr *)to, to_len) < 0)
		return false;
	for (double left; !stop && (left = deadline - now()) > 0;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		if (poll(&pfd, 1, (int)(left * 1e3) + 1) <= 0)
			continue;
		ssize_t got = recv(fd, packet, sizeof(packet), 0), at = family == AF_INET ? (packet[0] & 15) * 4 : 0;
		if (got < at + (ssize_t)sizeof(answer))
			continue;
		memcpy(&answer, packet + at, sizeof(answer));
		if (answer.type == (family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
		    answer.un.echo.id == request.un.echo.id && answer.un.echo.sequence == request.un.echo.sequence)
			return true;
	}
	return false;
}

static void pause_until(double when)
{
	double left = when - now();

	if (left > 0 && !stop)
		usleep((useconds_t)(left * 1e6));
}

/* count 0: until SIGTERM. */
static int ping(const char *address, unsigned long count, unsigned long interval_ms, int answer_ms)
{
	struct sockaddr_storage to;
	socklen_t to_len;
	int family = look_up(address, NULL, SOCK_RAW, &to, &to_len);
	int fd = socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	unsigned long sent = 0, answered = 0;
	double silent_since = now(), longest = 0;

	if (fd < 0)
		die("socket");
	for (; !stop && (count == 0 || sent < count); sent++) {
		double begin = now();

		if (echo(fd, family, &to, to_len, (uint16_t)sent, answer_ms)) {
			double answer = now();

			answered++;
			longest = answer - silent_since > longest ? answer - silent_since : longest;
			silent_since = answer;
		}
		pause_until(begin + (double)interval_ms / 1e3);
	}
	longest = now() - silent_since > longest ? now() - silent_since : longest;
	printf("{\"sent\": %lu, \"answered\": %lu, \"longest_silence_ms\": %.0f}\n", sent, answered, longest * 1e3);
	return answered == sent && sent > 0 ? 0 : 1;
}

/* ---- TCP */

static void take_stream(int fd, struct reply *reply)
{
	ssize_t got;

	*reply = (struct reply){ 0 };
	while ((got = recv(fd, piece, sizeof(piece), 0)) > 0) {
		for (ssize_t done = 0; done < got;) {
			size_t at = reply->bytes % BLOCK,
			       n = BLOCK - at < (size_t)(got - done) ? BLOCK - at : (size_t)(got - done);

			reply->wrong += memcmp(piece + done, block + at, n) != 0;
			reply->bytes += n;
			done += (ssize_t)n;
		}
	}
	if (got < 0)
		reply->wrong++;
}

static int serve(const char *address, const char *port)
{
	struct sockaddr_storage at;
	socklen_t len;
	int family = look_up(address, port, SOCK_STREAM, &at, &len), one = 1, fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 1024) < 0)
		die(address);
	fprintf(stderr, "serving\n");
	while (!stop) {
		struct reply reply;
		int conn = accept(fd, NULL, NULL);

		if (conn < 0)
			continue;
		take_stream(conn, &reply);
		if (send(conn, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			fprintf(stderr, "talk: answer: %s\n", strerror(errno));
		close(conn);
	}
	return 0;
}

static int dial(const struct sockaddr_storage *to, socklen_t len)
{
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(to->ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)to, len) == 0)
		return fd;
	fprintf(stderr, "talk: connect: %s\n", strerror(errno));
	close(fd);
	return -1;
}

/* Sends so much and hears whether all of it came, unchanged. */
static bool exchange(const struct sockaddr_storage *to, socklen_t len, uint64_t bytes)
{
	struct reply reply = { 0 };
	int fd = dial(to, len);
	bool good;

	if (fd < 0)
		return false;
	for (uint64_t sent = 0; sent < bytes;) {
		size_t at = sent % BLOCK, n = BLOCK - at < PIECE ? BLOCK - at : PIECE;
		ssize_t done = send(fd, block + at, bytes - sent < n ? (size_t)(bytes - sent) : n, MSG_NOSIGNAL);

		if (done <= 0)
			break;
		sent += (uint64_t)done;
	}
	shutdown(fd, SHUT_WR);
	good =
	    recv(fd, &reply, sizeof(reply), MSG_WAITALL) == sizeof(reply) && reply.bytes == bytes && reply.wrong == 0;
	if (!good)
		fprintf(stderr, "talk: %llu of %llu bytes arrived, %llu pieces of them wrong: %s\n",
		        (unsigned long long)reply.bytes, (unsigned long long)bytes, (unsigned long long)reply.wrong,
		        strerror(errno));
	close(fd);
	return good;
}

static int send_stream(const char *address, const char *port, uint64_t bytes)
{
	struct sockaddr_storage to;
	socklen_t len;
	double begin, seconds;
	bool good;

	look_up(address, port, SOCK_STREAM, &to, &len);
	begin = now();
	good = exchange(&to, len, bytes);
	seconds = now() - begin;
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"bits_per_second\": %.0f, \"ok\": %s}\n",
	       (unsigned long long)bytes, seconds, (double)bytes * 8 / seconds, good ? "true" : "false");
	return good ? 0 : 1;
}

static int connect_often(const char *address, const char *port, unsigned long count)
{
	struct sockaddr_storage to;
	socklen_t len;
	unsigned long good = 0;
	double begin = now();

	look_up(address, port, SOCK_STREAM, &to, &len);
	for (unsigned long i = 0; i < count && !stop; i++)
		good += exchange(&to, len, SHORT_BYTES);
	printf("{\"connections\": %lu, \"good\": %lu, \"seconds\": %.6f}\n", count, good, now() - begin);
	return good == count ? 0 : 1;
}

/* ---- UDP: which queue a packet takes is the kernel's choice by its flow */

static int flows(const char *address, const char *port, unsigned long count, unsigned long packets)
{
	struct sockaddr_storage to;
	socklen_t len;
	int family = look_up(address, port, SOCK_DGRAM, &to, &len);
	unsigned long sent = 0;

	for (unsigned long i = 0; i < count; i++) {
		int fd = socket(family, SOCK_DGRAM, 0);

		if (fd < 0)
			die("socket");
		for (unsigned long n = 0; n < packets; n++)
			sent += sendto(fd, block, SHORT_BYTES, 0, (struct sockaddr *)&to, len) == SHORT_BYTES;
		close(fd);
	}
	printf("{\"sent\": %lu}\n", sent);
	return sent == count * packets ? 0 : 1;
}

/* What the other side says of it (no route, port unreachable, interface down) is nothing to stop for. */
static int flood(const char *address, const char *port)
{
	struct sockaddr_storage to;
	socklen_t len;
	int family = look_up(address, port, SOCK_DGRAM, &to, &len), fds[16];

	for (int i = 0; i < 16; i++)
		if ((fds[i] = socket(family, SOCK_DGRAM, 0)) < 0)
			die("socket");
	for (; !stop; usleep(500))
		for (int i = 0; i < 16; i++)
			if (sendto(fds[i], block, SHORT_BYTES, MSG_DONTWAIT, (struct sockaddr *)&to, len) < 0)
				errno = 0;
	return 0;
}

static int hear(const char *address, const char *port)
{
	struct timeval limit = { .tv_sec = 10 };
	struct sockaddr_storage at;
	socklen_t len;
	int family = look_up(address, port, SOCK_DGRAM, &at, &len), fd = socket(family, SOCK_DGRAM, 0);
	ssize_t got;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0)
		die(address);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	fprintf(stderr, "hearing\n");
	got = recv(fd, piece, sizeof(piece), 0);
	if (got < 0)
		die("nothing came");
	printf("%.*s\n", (int)got, (const char *)piece);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *what = argc > 1 ? argv[1] : "";

	sigaction(SIGTERM, &action, NULL);
	make_block();
	if (argc == 5 && strcmp(what, "ping") == 0)
		return ping(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), PING_MS);
	if (argc == 4 && strcmp(what, "watch") == 0)
		return ping(argv[2], 0, strtoul(argv[3], NULL, 10), WATCH_MS);
	if (argc == 4 && strcmp(what, "serve") == 0)
		return serve(argv[2], argv[3]);
	if (argc == 5 && strcmp(what, "send") == 0)
		return send_stream(argv[2], argv[3], strtoull(argv[4], NULL, 10));
	if (argc == 5 && strcmp(what, "connect") == 0)
		return connect_often(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 6 && strcmp(what, "flows") == 0)
		return flows(argv[2], argv[3], strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
	if (argc == 4 && strcmp(what, "flood") == 0)
		return flood(argv[2], argv[3]);
	if (argc == 4 && strcmp(what, "hear") == 0)
		return hear(argv[2], argv[3]);
	fprintf(stderr, "usage: talk ping|watch|serve|send|connect|flows|flood|hear ADDRESS ...\n");
	return 2;
}
