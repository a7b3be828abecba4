/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "xsk/request.h"

/* --- building --- */

/* Room for so many bytes at the end, all zeros; NULL when there is none. */
static void *append(struct nmx__request *r, size_t bytes)
{
	size_t used = NLMSG_ALIGN(r->header.nlmsg_len);

	if (r->overflow || bytes > sizeof(r->bytes) - used) {
		r->overflow = true;
		return NULL;
	}
	r->header.nlmsg_len = (uint32_t)(used + bytes);
	return r->bytes + used;
}

void nmx__request_begin(struct nmx__request *request, uint16_t type, uint16_t flags, const void *body, size_t bytes)
{
	void *place;

	memset(request, 0, sizeof(*request));
	request->header = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN,
		                             .nlmsg_type = type,
		                             .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
	place = append(request, bytes);
	if (place)
		memcpy(place, body, bytes);
}

void nmx__request_put(struct nmx__request *request, uint16_t type, const void *data, size_t bytes)
{
	struct rtattr *attribute = append(request, RTA_LENGTH(bytes));

	if (!attribute)
		return;
	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(bytes);
	if (bytes)
		memcpy(RTA_DATA(attribute), data, bytes);
}

void nmx__request_put_text(struct nmx__request *request, uint16_t type, const char *text)
{
	nmx__request_put(request, type, text, strlen(text) + 1);
}

void nmx__request_put_u32(struct nmx__request *request, uint16_t type, uint32_t value)
{
	nmx__request_put(request, type, &value, sizeof(value));
}

void nmx__request_put_u8(struct nmx__request *request, uint16_t type, uint8_t value)
{
	nmx__request_put(request, type, &value, sizeof(value));
}

size_t nmx__request_open(struct nmx__request *request, uint16_t type, const void *body, size_t bytes)
{
	size_t nest = NLMSG_ALIGN(request->header.nlmsg_len);

	nmx__request_put(request, type, body, bytes);
	return nest;
}

void nmx__request_close(struct nmx__request *request, size_t nest)
{
	struct rtattr *attribute = (struct rtattr *)(void *)(request->bytes + nest);

	if (!request->overflow)
		attribute->rta_len = (uint16_t)(request->header.nlmsg_len - nest);
}

/* --- asking --- */

/* What is in one datagram.  1: the answer is complete, *result says how it went; 0: there is more to come. */
static int take(const uint8_t *bytes, size_t len, uint32_t seq, void (*fn)(const struct nlmsghdr *message, void *arg),
                void *arg, int *result)
{
	for (size_t at = 0; len - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)(bytes + at);

		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len - at)
			break;
		at += NLMSG_ALIGN(h->nlmsg_len) < len - at ? NLMSG_ALIGN(h->nlmsg_len) : len - at;
		if (h->nlmsg_seq != seq)
			continue; /* of a request that was given up */
		if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
			/* Both begin with the error, 0 for none. */
			*result = 0;
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
				memcpy(result, NLMSG_DATA(h), sizeof(*result));
			return 1;
		}
		if (fn && h->nlmsg_type >= NLMSG_MIN_TYPE)
			fn(h, arg);
	}
	return 0;
}

int nmx__request_send(int fd, struct nmx__request *request, void (*fn)(const struct nlmsghdr *message, void *arg),
                      void *arg)
{
	static _Atomic uint32_t last_seq;
	/* What a dump comes in is no longer than this (netlink_dump() of the kernel), and one link is shorter. */
	_Alignas(struct nlmsghdr) uint8_t answer[32768];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int result = 0;
	ssize_t n;

	if (request->overflow)
		return -EMSGSIZE;
	request->header.nlmsg_seq = atomic_fetch_add(&last_seq, 1) + 1;
	/* One answer always comes: what is asked for is followed by an acknowledgement, or by the end of the dump.  (One bit
	 * of NLM_F_DUMP means something else when something is made.) */
	if ((request->header.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		request->header.nlmsg_flags |= NLM_F_ACK;
	do
		n = sendto(fd, request->bytes, request->header.nlmsg_len, 0, (struct sockaddr *)&kernel,
		           sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof(from);

		n = recvfrom(fd, answer, sizeof(answer), 0, (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n >= 0 && from.nl_pid == 0 &&
		    take(answer, (size_t)n, request->header.nlmsg_seq, fn, arg, &result))
			return result;
	}
}

/* --- reading --- */

static void sort_attributes(const uint8_t *bytes, size_t len, const struct rtattr **table, uint16_t max)
{
	memset(table, 0, max * sizeof(*table));
	for (size_t at = 0; len - at >= sizeof(struct rtattr);) {
		const struct rtattr *a = (const struct rtattr *)(const void *)(bytes + at);
		uint16_t type = a->rta_type & NLA_TYPE_MASK;

		if (a->rta_len < sizeof(*a) || a->rta_len > len - at)
			break;
		if (type < max)
			table[type] = a;
		at += RTA_ALIGN(a->rta_len) < len - at ? RTA_ALIGN(a->rta_len) : len - at;
	}
}

void nmx__attributes(const struct nlmsghdr *message, size_t body, const struct rtattr **table, uint16_t max)
{
	size_t start = NLMSG_SPACE(body);
	size_t len = message->nlmsg_len > start ? message->nlmsg_len - start : 0;

	sort_attributes((const uint8_t *)message + start, len, table, max);
}

void nmx__attributes_within(const struct rtattr *attribute, const struct rtattr **table, uint16_t max)
{
	sort_attributes(attribute ? RTA_DATA(attribute) : NULL, attribute ? RTA_PAYLOAD(attribute) : 0, table, max);
}

uint32_t nmx__attribute_u32(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

uint8_t nmx__attribute_u8(const struct rtattr *attribute)
{
	return attribute && RTA_PAYLOAD(attribute) >= 1 ? *(const uint8_t *)RTA_DATA(attribute) : 0;
}

void nmx__attribute_text(const struct rtattr *attribute, char *out, size_t size)
{
	size_t len = 0;

	if (attribute) {
		len = strnlen(RTA_DATA(attribute), RTA_PAYLOAD(attribute));
		if (len >= size)
			len = size - 1;
		memcpy(out, RTA_DATA(attribute), len);
	}
	out[len] = 0;
}
