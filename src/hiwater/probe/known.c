/* Programs that know their own size: first-line and known. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* first-line: what a program is told of itself before it has done anything at all. Only what was inherited, and the
 * pages that the dynamic linker and this file have touched, can be in it. Then the command, in the same process. */
int first_line(int argc, char **argv)
{
	int64_t maxrss = own_maxrss();
	int error;

	if (argc < 5 || strcmp(argv[1], "--report-fd") != 0 || strcmp(argv[3], "--") != 0)
		misuse("first-line takes: --report-fd N -- COMMAND [ARGUMENT ...]");
	report_to((int)parse_bytes("report-fd", argv[2]), false);
	report_size("first_line_maxrss_bytes", maxrss);
	report_size("first_line_hwm_bytes", figures_of(getpid()).hwm);
	execvp(argv[4], argv + 4);
	error = errno;
	report_number("exec_errno", error);
	return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* known: grow, find out the truth, tell it, and end. */
int known(int argc, char **argv)
{
	static const char *const names[] = {"anon", "shmem", "file"};
	static const struct option options[] = {
		{"anon", required_argument, NULL, ANON},
		{"shmem", required_argument, NULL, SHMEM},
		{"file", required_argument, NULL, MAPPED_FILE},
		{"free", no_argument, NULL, 'f'},
		{"kill", no_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	size_t sizes[3] = {0};
	char *areas[3];
	bool free_first = false, by_kill = false;
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == ANON || option == SHMEM || option == MAPPED_FILE)
			sizes[option] = (size_t)parse_bytes(names[option], optarg);
		else if (option == 'f')
			free_first = true; /* a spike: nothing is left of it when the program exits */
		else if (option == 'k')
			by_kill = true; /* no chance to do anything at the end */
		else
			misuse("known: see known.c for what it takes");
	}
	if (argv[optind])
		misuse("known takes no argument such as '%s'", argv[optind]);
	for (int kind = 0; kind < 3; kind++)
		areas[kind] = grow((enum kind)kind, sizes[kind]);
	report_size("walked_rss_bytes", walk_own_pages());
	for (int kind = 0; free_first && kind < 3; kind++)
		give_back(areas[kind], sizes[kind]);
	if (by_kill)
		raise(SIGKILL);
	/* Not through exit(): its handlers would touch pages that were not there at the walk. */
	_exit(0);
}
