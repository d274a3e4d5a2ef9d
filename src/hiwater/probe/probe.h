/* The parts of hiwater-probe; main.c says what it is for. */
#ifndef HW_PROBE_H
#define HW_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
	EXIT_REFUSED = 1, /* what was tried is not possible on this machine; the report says why */
	EXIT_MISUSE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

/* report.c: key=value lines for the caller */
void report_to(int fd, bool shared);
void report_number(const char *key, int64_t value);
void report_size(const char *key, int64_t bytes); /* nothing when it is -1: unknown is left out */
_Noreturn void misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t parse_bytes(const char *option, const char *text);

/* memory.c: memory that can be had and given back */
enum kind { ANON, SHMEM, MAPPED_FILE };
char *reserve(enum kind kind, size_t bytes);
void touch(char *area, size_t bytes);
char *grow(enum kind kind, size_t bytes);
char *grow_ballast(size_t bytes);
void give_back(char *area, size_t bytes);

/* self.c: what the kernel says of a process; -1 where it does not */
struct figures {
	int64_t statm;	/* /proc/PID/statm, field 2 */
	int64_t stat;	/* /proc/PID/stat, field 24 */
	int64_t rss;	/* VmRSS */
	int64_t hwm;	/* VmHWM */
	int64_t threads;
};
struct figures figures_of(pid_t pid);
int64_t statm_rss(pid_t pid);
int64_t walk_own_pages(void);
int64_t own_maxrss(void);

/* start.c: the ways to start a command */
enum how { BY_FORK, BY_VFORK, BY_SPAWN };
struct started {
	pid_t pid; /* -1 if there is no process */
	int error; /* errno of execve, 0 when the command runs */
};
struct started start(enum how how, char **command);
struct started start_traced(char **command, int *trace_error);

/* watch.c: until the command has ended */
struct ended {
	int status;
	struct rusage usage;
};
struct ended wait_for(pid_t pid);
struct ended poll_rss(pid_t pid, int64_t period_ns, int64_t *largest, int64_t *looks);
struct ended wait_for_exit_stop(pid_t pid, struct figures *last);

/* one sub-command each */
int launch(int argc, char **argv);
int first_line(int argc, char **argv);
int known(int argc, char **argv);
int precision(int argc, char **argv);
int try_ptrace(int argc, char **argv);
int try_clear_refs(int argc, char **argv);
int try_perf(int argc, char **argv);

#endif
