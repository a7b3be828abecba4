/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static volatile sig_atomic_t asked;
static volatile sig_atomic_t asked_at; /* seconds of the clock */

static sig_atomic_t seconds_now(void) { return (sig_atomic_t)(clock_ns() / CLOCK_S); }

/* timeout(1) and some shells send a signal twice: only one that comes later means that we do not end. */
static void on_signal(int number)
{
	if (!asked)
		asked_at = seconds_now();
	else if (number != SIGPIPE && seconds_now() - asked_at > 1)
		_exit(128 + number);
	asked = 1;
}

static void catch_one(int number)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = 0; /* no SA_RESTART: a wait must return */
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void stop_catch(void)
{
	catch_one(SIGINT);
	catch_one(SIGTERM);
	catch_one(SIGPIPE);
}

bool stop_asked(void)
{
	return asked != 0;
}
