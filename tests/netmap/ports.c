/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "ports.h"

struct nmx_options ports_options(const struct nmx_options *options)
{
	struct nmx_options o = options ? *options : (struct nmx_options){ 0 };

	o.backend = NMX_NETMAP;
	return o;
}

int ports_start(void **state)
{
	(void)state;
	standin_start();
	return 0;
}

int ports_end(void **state)
{
	(void)state;
	standin_end();
	return 0;
}

struct nmx_port *ports_open(const char *name, const struct nmx_options *options)
{
	struct nmx_options o = ports_options(options);

	return support_open(name, &o);
}

void ports_refused(const char *name, const struct nmx_options *options, int err, const char *part)
{
	struct nmx_options o = ports_options(options);

	support_open_refused(name, &o, err, part);
}

void ports_wire(const char *a, const char *b, uint32_t rings, uint32_t slots)
{
	standin_wire(standin_nic(a, rings, slots), standin_nic(b, rings, slots));
}

struct pair ports_pair(const char *a, const char *b, const struct nmx_options *options)
{
	struct pair p = { .a = ports_open(a, options), .b = ports_open(b, options) };

	p.tx = support_tx(p.a, 0);
	p.rx = support_rx(p.b, 0);
	return p;
}

void ports_close(struct pair *p)
{
	nmx_tx_close(p->tx);
	nmx_rx_close(p->rx);
	nmx_close(p->a);
	nmx_close(p->b);
}
