/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_TOOLS_COMMANDS_H
#define NMX_TOOLS_COMMANDS_H

#include "opt.h"

extern const struct command cmd_gen, cmd_sink, cmd_ping, cmd_pong, cmd_bridge, cmd_replay, cmd_dump, cmd_demo,
    cmd_switch, cmd_doctor;

/* The dispatch table, in the order of the usage text; ends with NULL. */
extern const struct command *const commands[];

#endif
