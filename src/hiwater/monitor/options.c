/* The command line. Misuse ends with status 125, before anything was started. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor.h"

_Noreturn void die(const char *text, const char *detail)
{
	fprintf(stderr, "hiwater-monitor: %s%s%s\n", text, detail ? ": " : "", detail ? detail : "");
	exit(125);
}

static int64_t time_option(const char *name, const char *value)
{
	int64_t n;

	if (!parse_decimal(value, &n))
		die("not a number of nanoseconds", name);
	return n;
}

static int number_option(const char *value)
{
	int64_t n;

	if (!parse_decimal(value, &n) || n > INT32_MAX)
		die("not a number", value);
	return (int)n;
}

static void usage(void)
{
	puts("usage: hiwater-monitor [--output FILE | --output-fd N] [--mode quiet|trace] [--exact] [--period-ns N]\n"
	     "                       [--faults BYTES] [--timeout-ns N] [--kill-after-ns N] [--linger-ns N] [--launcher PID]\n"
	     "                       [--sigmask HEX] [--cgroup DIR] [--rlimit-data BYTES] [--rlimit-as BYTES]\n"
	     "                       [--] COMMAND [ARG...]\n"
	     "       hiwater-monitor [--output FILE | --output-fd N] [--period-ns N] [--linger-ns N] [--duration-ns N]\n"
	     "                       [--leave-out PID] --attach PID\n"
	     "Executes COMMAND, or attaches to PID, and records its memory and that of its descendants.\n"
	     "`hiwater show FILE` reads it.");
	exit(0);
}

static void parse_mask(const char *hex, sigset_t *mask)
{
	char *end;
	unsigned long long bits = strtoull(hex, &end, 16);

	if (*hex == 0 || *end != 0)
		die("not a signal mask", hex);
	sigemptyset(mask);
	for (int sig = 1; sig <= 64; sig++)
		if (bits >> (sig - 1) & 1)
			sigaddset(mask, sig);
}

struct options parse_options(int argc, char **argv)
{
	enum { FD = 256, MODE, EXACT, PERIOD, TIMEOUT, KILL_AFTER, LINGER, LAUNCHER, SIGMASK, CGROUP, RLIMIT_OF_DATA, RLIMIT_OF_AS,
	       ATTACH, DURATION, LEAVE_OUT, FAULTS, VERSION, HELP };
	static const struct option names[] = {
		{"output", required_argument, 0, 'o'},	     {"output-fd", required_argument, 0, FD},
		{"mode", required_argument, 0, MODE},	     {"exact", no_argument, 0, EXACT},
			     {"period-ns", required_argument, 0, PERIOD},
		{"timeout-ns", required_argument, 0, TIMEOUT}, {"kill-after-ns", required_argument, 0, KILL_AFTER},
		{"linger-ns", required_argument, 0, LINGER},  {"launcher", required_argument, 0, LAUNCHER},
		{"sigmask", required_argument, 0, SIGMASK},  {"cgroup", required_argument, 0, CGROUP},
		{"rlimit-data", required_argument, 0, RLIMIT_OF_DATA}, {"rlimit-as", required_argument, 0, RLIMIT_OF_AS},
		{"attach", required_argument, 0, ATTACH},	     {"duration-ns", required_argument, 0, DURATION},
		{"leave-out", required_argument, 0, LEAVE_OUT}, {"faults", required_argument, 0, FAULTS},
		{"version", no_argument, 0, VERSION},
		{"help", no_argument, 0, HELP},		     {0}};
	struct options o = {.output_fd = -1, .launcher = getppid()};
	int64_t n;
	int c;

	while ((c = getopt_long(argc, argv, "+o:", names, NULL)) != -1) {
		switch (c) {
		case 'o':
			o.output = optarg;
			break;
		case FD:
			o.output_fd = number_option(optarg);
			break;
		case LAUNCHER:
			o.launcher = number_option(optarg);
			break;
		case LEAVE_OUT:
			g.leave_out = number_option(optarg);
			break;
		case ATTACH:
			o.attach = number_option(optarg);
			if (o.attach == 0)
				die("not the number of a process", optarg);
			break;
		case DURATION:
			g.duration_ns = time_option("--duration-ns", optarg);
			break;
		case MODE:
			if (strcmp(optarg, "quiet") != 0 && strcmp(optarg, "trace") != 0)
				die("--mode is quiet or trace, not", optarg);
			g.trace = strcmp(optarg, "trace") == 0;
			break;
		case EXACT:
			g.exact_wanted = true;
			break;
		case FAULTS:
			if (!parse_decimal(optarg, &g.faults_bytes) || g.faults_bytes == 0)
				die("not a number of bytes", optarg);
			break;
		case PERIOD:
			g.period_ns = time_option("--period-ns", optarg);
			if (g.period_ns < NS_PER_MS / 10)
				die("--period-ns is at least 100000 (0.1 ms), not", optarg);
			break;
		case TIMEOUT:
			g.timeout_ns = time_option("--timeout-ns", optarg);
			break;
		case KILL_AFTER:
			g.kill_after_ns = time_option("--kill-after-ns", optarg);
			break;
		case LINGER:
			g.linger_ns = time_option("--linger-ns", optarg);
			break;
		case SIGMASK:
			parse_mask(optarg, &o.mask);
			o.mask_given = true;
			break;
		case CGROUP:
			limit_group(optarg);
			break;
		case RLIMIT_OF_DATA:
		case RLIMIT_OF_AS:
			if (!parse_decimal(optarg, &n) || n == 0)
				die("not a number of bytes", optarg);
			*(c == RLIMIT_OF_DATA ? &command_limits.data_bytes : &command_limits.as_bytes) = (uint64_t)n;
			break;
		case VERSION:
			puts("hiwater-monitor " HIWATER_VERSION);
			exit(0);
		case HELP:
			usage();
			break;
		default:
			exit(125);
		}
	}
	if (o.attach && optind < argc)
		die("--attach takes no command", argv[optind]);
	if (o.attach && (g.trace || g.exact_wanted || g.faults_bytes))
		die("--attach only looks: there is no --mode trace, no --exact and no --faults", NULL);
	if (g.faults_bytes && (g.trace || g.exact_wanted))
		die("--faults excludes --exact and --mode trace", NULL);
	if (!o.attach && optind >= argc)
		die("no command; usage: hiwater-monitor [OPTIONS] [--] COMMAND [ARG...]", NULL);
	o.argv = argv + optind;
	return o;
}
