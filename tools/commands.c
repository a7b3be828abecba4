/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "commands.h"

const struct command *const commands[] = {
	&cmd_gen, &cmd_sink, &cmd_ping, &cmd_pong, &cmd_bridge, &cmd_replay, &cmd_dump, &cmd_demo, &cmd_switch, &cmd_doctor, NULL,
};
