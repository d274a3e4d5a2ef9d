/* hiwater-probe: does to the kernel what other tools do to it, and says what came out.
 *
 * THEORY OF OPERATION
 *
 * `hiwater methods` shows what each way to measure a command reports, and `hiwater doctor` what a machine allows and
 * how well hiwater does on programs whose size is known. Both are Python programs, and a Python process is the worst
 * place to try this from: its own size ends up in what it launches. So this small program is the launcher, the
 * tracer, the program of known size and the one who tries what is allowed. It prints no table and judges nothing.
 *
 *   launch          grow to a ballast, hold it or give it back, start a command in one of the known ways, watch it
 *                   in one of the known ways, and report what each interface of the kernel says of it
 *   first-line      report getrusage(RUSAGE_SELF) as the first thing that is done, then exec a command
 *   known           grow to a known size, walk one's own page tables for the truth, and end in one of several ways
 *   precision       hide as much as possible in the kernel's per-CPU counters, and report what each file then says
 *   try-ptrace, try-clear-refs, try-perf
 *                   try it and report what the kernel answered
 *
 * A report is `key=value` lines on the descriptor of --report-fd (1 unless told). Keys that end in _bytes are bytes;
 * what is unknown is left out, never 0. The descriptor is closed on exec, so that the command never sees it.
 *
 * The exit status tells how the probe itself fared: 0 it did its job (however the command ended), 1 what it tried
 * is not possible here, 125 misuse or a failure of its own, 126 and 127 the command could not be started.
 *
 * Nothing here allocates with malloc on the way to a measurement: what the probe adds to a figure stays constant.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"launch", launch},	    {"first-line", first_line},		{"known", known},	{"precision", precision},
	{"try-ptrace", try_ptrace}, {"try-clear-refs", try_clear_refs}, {"try-perf", try_perf},
};

int main(int argc, char **argv)
{
	if (argc < 2)
		misuse("a sub-command is missing");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	misuse("unknown sub-command '%s'", argv[1]);
}
