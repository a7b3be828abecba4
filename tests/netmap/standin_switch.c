/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The stand-in's switches: everything goes to all others; and the requests about them. */
#include "standin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define BRIDGES 8

static char bridges[BRIDGES][32];

void standin_switch_start(void) { memset(bridges, 0, sizeof(bridges)); }

static bool is_member(const struct port *port) { return *port->bridge && (port->fds || port->persistent || port->kind == NIC); }

/* The number of a switch of this name, made if there is none. */
static int bridge_index(const char *name)
{
	for (int i = 0; i < BRIDGES; i++)
		if (strcmp(bridges[i], name) == 0)
			return i;
	for (int i = 0; i < BRIDGES; i++)
		if (!*bridges[i]) {
			snprintf(bridges[i], sizeof(bridges[i]), "%s", name);
			return i;
		}
	return -1;
}

void standin_switch_send(struct port *from, const void *data, uint32_t len, uint32_t ring, uint16_t flags)
{
	(void)ring;
	if (len < 14)
		return;
	for (struct port *p = standin.ports; p; p = p->next)
		if (p != from && is_member(p) && p->has_rings && strcmp(p->bridge, from->bridge) == 0)
			standin_deliver(&p->kring[0][0], data, len, flags | 0x100);
}

static int attach(const struct nmx__nm_header *header)
{
	struct nmx__nm_attach *body = (struct nmx__nm_attach *)(uintptr_t)header->body;
	const char *colon = strchr(header->name, ':');
	struct port *port = colon ? standin_find(colon + 1) : NULL;
	int index;

	if (standin_find(header->name))
		return EBUSY;
	if (!port)
		return EINVAL;
	if (*port->bridge || port->fds)
		return EBUSY;
	if (body->reg.mode != NMX__NM_ALL_NIC && body->reg.mode != NMX__NM_NIC_HOST)
		return EINVAL;
	memcpy(port->bridge, header->name, (size_t)(colon - header->name));
	index = bridge_index(port->bridge);
	if (index < 0)
		return ENOMEM;
	snprintf(port->name, sizeof(port->name), "%.63s", header->name);
	port->attached = port;
	port->bridge_index = (uint32_t)index;
	body->port = 0;
	for (struct port *p = standin.ports; p; p = p->next)
		body->port += p != port && is_member(p) && strcmp(p->bridge, port->bridge) == 0;
	return 0;
}

static int detach(const struct nmx__nm_header *header)
{
	struct port *port = standin_find(header->name);

	if (!port || !port->attached || !strchr(port->name, ':'))
		return ENXIO;
	if (port->fds)
		return EBUSY;
	memmove(port->name, strchr(port->name, ':') + 1, strlen(strchr(port->name, ':')));
	memset(port->bridge, 0, sizeof(port->bridge));
	port->attached = NULL;
	((struct nmx__nm_detach *)(uintptr_t)header->body)->port = 0;
	return 0;
}

static int list(struct nmx__nm_header *header)
{
	struct nmx__nm_list *body = (struct nmx__nm_list *)(uintptr_t)header->body;

	for (uint32_t b = body->bridge, first = body->port; b < BRIDGES; b++, first = 0) {
		uint32_t i = 0;

		for (struct port *p = standin.ports; p; p = p->next) {
			if (!is_member(p) || strcmp(p->bridge, bridges[b]) != 0 || i++ < first)
				continue;
			body->bridge = (uint16_t)b;
			body->port = i - 1;
			memcpy(header->name, p->name, sizeof(header->name));
			return 0;
		}
	}
	return ENOENT;
}

static int newif(const struct nmx__nm_header *header)
{
	const struct nmx__nm_newif *body = (const struct nmx__nm_newif *)(uintptr_t)header->body;
	struct port *port;

	if (strchr(header->name, ':') || strlen(header->name) > 15)
		return EINVAL;
	if (standin_find(header->name))
		return EEXIST;
	if (body->mem_id > 1)
		return EINVAL;
	port = standin_nic(header->name, body->tx_rings ? body->tx_rings : 1, body->tx_slots ? body->tx_slots : STANDIN_SLOTS);
	port->kind = SWITCH_PORT;
	port->persistent = true;
	return 0;
}

static int delif(const struct nmx__nm_header *header)
{
	struct port *port = standin_find(header->name);

	if (!port)
		return ENXIO;
	if (!port->persistent)
		return EINVAL;
	if (*port->bridge || port->fds)
		return EBUSY;
	port->persistent = false;
	standin_forget(port);
	return 0;
}

int standin_switch_request(const struct nmx__nm_header *header)
{
	for (struct port *p = standin.ports; p; p = p->next) /* ports that an open made */
		if (*p->bridge)
			p->bridge_index = (uint32_t)bridge_index(p->bridge);
	switch (header->type) {
	case NMX__NM_VALE_ATTACH: return attach(header);
	case NMX__NM_VALE_DETACH: return detach(header);
	case NMX__NM_VALE_LIST: return list((struct nmx__nm_header *)header);
	case NMX__NM_VALE_NEWIF: return newif(header);
	case NMX__NM_VALE_DELIF: return delif(header);
	default: return EINVAL;
	}
}
