/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "stop.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
	(void)number;
	asked = 1;
}

static void catch_one(int number, int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = flags; /* no SA_RESTART: a wait must return */
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void stop_catch(void)
{
	catch_one(SIGINT, (int)SA_RESETHAND);
	catch_one(SIGTERM, (int)SA_RESETHAND);
	catch_one(SIGPIPE, 0); /* every later write to the dead pipe raises it again */
}

bool stop_asked(void) { return asked != 0; }
