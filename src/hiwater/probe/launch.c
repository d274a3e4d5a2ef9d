/* launch: start a command from a launcher that is, or once was, big. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum watch { WATCH_NOTHING, WATCH_RSS, WATCH_EXIT_STOP };

struct plan {
	int64_t ballast; /* what the launcher grows by before it starts the command */
	bool freed;	 /* and whether it has given that back by then */
	int64_t before;	 /* size of another child that it waits for first */
	enum how how;
	enum watch watch;
	int64_t period_ns;
	bool keep_report; /* the command is a sub-command of this program, and reports to the same descriptor */
	int report_fd;
	char **command;
};

static int choice(const char *option, const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	misuse("--%s does not know '%s'", option, word);
}

static struct plan parse(int argc, char **argv)
{
	static const char *const hows[] = {"fork", "vfork", "spawn", NULL};
	static const char *const watches[] = {"nothing", "rss", "exit-stop", NULL};
	static const struct option options[] = {
		{"ballast", required_argument, NULL, 'b'}, {"freed", no_argument, NULL, 'f'},
		{"before", required_argument, NULL, 'c'},  {"how", required_argument, NULL, 'h'},
		{"watch", required_argument, NULL, 'w'},   {"period-ns", required_argument, NULL, 'p'},
		{"keep-report", no_argument, NULL, 'k'},   {"report-fd", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	struct plan plan = {.period_ns = 100000000, .report_fd = 1};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			plan.ballast = parse_bytes("ballast", optarg);
			break;
		case 'f':
			plan.freed = true;
			break;
		case 'c':
			plan.before = parse_bytes("before", optarg);
			break;
		case 'h':
			plan.how = (enum how)choice("how", optarg, hows);
			break;
		case 'w':
			plan.watch = (enum watch)choice("watch", optarg, watches);
			break;
		case 'p':
			plan.period_ns = parse_bytes("period-ns", optarg);
			break;
		case 'k':
			plan.keep_report = true;
			break;
		case 'r':
			plan.report_fd = (int)parse_bytes("report-fd", optarg);
			break;
		default:
			misuse("launch: see main.c for what it takes");
		}
	}
	plan.command = argv + optind;
	if (!plan.command[0])
		misuse("launch: a command is missing");
	if (plan.period_ns == 0)
		misuse("--period-ns takes more than 0");
	return plan;
}

/* The program that somebody measured earlier, in the same launcher. */
static void run_bigger_child(int64_t bytes)
{
	pid_t pid = fork();

	if (pid < 0)
		misuse("fork failed: %s", strerror(errno));
	if (pid == 0) {
		grow_ballast((size_t)bytes);
		_exit(0);
	}
	wait_for(pid);
}

static void report_launcher(void)
{
	struct figures self = figures_of(getpid());

	report_size("launcher_rss_bytes", self.rss);
	report_size("launcher_hwm_bytes", self.hwm);
}

/* Why there is no command to measure. */
static int not_started(int error)
{
	report_number("exec_errno", error);
	return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static void report_end(const struct ended *ended, int64_t wall_ns)
{
	struct rusage children;

	report_number("status", ended->status);
	report_number("wall_ns", wall_ns);
	report_size("wait4_maxrss_bytes", (int64_t)ended->usage.ru_maxrss * 1024);
	if (getrusage(RUSAGE_CHILDREN, &children) == 0)
		report_size("children_maxrss_bytes", (int64_t)children.ru_maxrss * 1024);
}

static int64_t since_ns(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)(now.tv_sec - from->tv_sec) * 1000000000 + (now.tv_nsec - from->tv_nsec);
}

static int execute(const struct plan *plan)
{
	struct figures last;
	struct timespec from;
	struct started started;
	struct ended ended;
	int64_t largest, looks;
	int trace_error = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (plan->watch == WATCH_EXIT_STOP)
		started = start_traced(plan->command, &trace_error);
	else
		started = start(plan->how, plan->command);
	if (trace_error) {
		report_number("ptrace_errno", trace_error);
		return EXIT_REFUSED;
	}
	if (started.error) {
		if (started.pid > 0)
			wait_for(started.pid);
		return not_started(started.error);
	}
	switch (plan->watch) {
	case WATCH_RSS:
		ended = poll_rss(started.pid, plan->period_ns, &largest, &looks);
		report_size("polled_rss_bytes", largest);
		report_number("looks", looks);
		break;
	case WATCH_EXIT_STOP:
		ended = wait_for_exit_stop(started.pid, &last);
		report_size("exit_stop_hwm_bytes", last.hwm);
		report_size("exit_stop_threads", last.threads);
		break;
	default:
		ended = wait_for(started.pid);
	}
	report_end(&ended, since_ns(&from));
	return 0;
}

int launch(int argc, char **argv)
{
	struct plan plan = parse(argc, argv);
	char *ballast;

	report_to(plan.report_fd, plan.keep_report);
	if (plan.before)
		run_bigger_child(plan.before);
	ballast = grow_ballast((size_t)plan.ballast);
	if (plan.freed)
		give_back(ballast, (size_t)plan.ballast);
	report_launcher();
	return execute(&plan);
}
