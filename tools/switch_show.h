/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What there is in switches, as text and as JSON. */
#ifndef NMX_TOOLS_SWITCH_SHOW_H
#define NMX_TOOLS_SWITCH_SHOW_H

#include <stdbool.h>

#include <nmx/switch.h>

#include "json.h"

/* A switch without its ports: an object; and a line for one that has none. */
void switch_json(const char *name, const struct nmx_switch_info *info, struct json *json);
void switch_say_empty(const char *name, const struct nmx_switch_info *info);
void switch_port_json(const struct nmx_switch_port *port, struct json *json); /* an object */
void switch_port_say(const struct nmx_switch_port *port); /* a line, and one for each cause of drops */

/* Ports and addresses of the switch of that name; NULL: the ports of all, and how many addresses each knows.  False, with
 * the reason said: that could not be done, or there is no such switch. */
bool switch_show(const char *name, const struct nmx_switch_options *options, bool as_json);

#endif
