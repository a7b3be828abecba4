/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is said of a bridge: at its beginning and at its end. */
#ifndef NMX_TOOLS_BRIDGE_REPORT_H
#define NMX_TOOLS_BRIDGE_REPORT_H

#include "bridge.h"

void bridge_say_begin(const struct bridge *bridge);
void bridge_say_summary(const struct bridge *bridge, double seconds);

const char *bridge_end_name(enum bridge_end end);
uint64_t bridge_copied(const struct bridge *bridge); /* bytes */
void bridge_json_port(struct json *json, const char *key, const struct port *port);
void bridge_json_way(struct json *json, const char *key, const struct bridge_way *way, double seconds);

#endif
