/* hiwater-monitor: the list of its parts. See main.c for the theory of operation. */
#ifndef HW_MONITOR_H
#define HW_MONITOR_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include "protocol.h"

#ifndef HIWATER_VERSION
#define HIWATER_VERSION "unknown" /* CMake takes it from _version.py */
#endif
#ifndef HW_SLOWNESS
#define HW_SLOWNESS 1 /* how many times slower than usual the machine is: an emulated one may spend so much more on looking */
#endif
#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* ---- text.c: parsers of kernel text; no I/O, bounded, tolerant of missing fields ---- */
struct statm {
	int64_t rss, shared, text; /* pages */
};
struct status { /* -1: the kernel does not show the field */
	char name[64];
	size_t name_len;
	int64_t tgid, ppid, threads;
	int64_t vm_peak, hwm, rss, anon, file, shmem, swap, pte, hugetlb; /* bytes */
	bool ignores_sigchld;
	bool zombie;
};
struct stat_line {
	char comm[64];
	size_t comm_len;
	char state;
	int64_t threads; /* -1 unknown */
	bool kernel_thread;
	int64_t ppid, session, minor_faults, child_minor_faults;
	uint64_t start_time;  /* in clock ticks since boot; 0 unknown */
	int64_t major_faults; /* -1 unknown */
	uint64_t start_stack; /* another one after each execve; 0 unknown */
};
struct rollup { /* bytes */
	int64_t rss, pss, pss_anon, pss_file, pss_shmem, private_bytes, swap, swap_pss, lazyfree, anon_huge;
	bool whole; /* as far as the counters tell; see look.c */
};
bool parse_statm(const char *text, size_t len, struct statm *out);
bool parse_status(const char *text, size_t len, struct status *out);
bool parse_stat(const char *text, size_t len, struct stat_line *out);
bool parse_rollup(const char *text, size_t len, struct rollup *out);
int64_t parse_last_pid(const char *text, size_t len); /* of /proc/loadavg; -1 if it is not there */
int64_t find_number(const char *text, size_t len, const char *key); /* "key  N": -1 if it is not there */
bool parse_decimal(const char *text, int64_t *out);	       /* a whole string, not negative */

/* ---- events.c: the records of a perf ring; no I/O, bounded ---- */
#define RSS_MEMBERS 4 /* enum of the kernel: file, anonymous, swapped out, shared memory */
enum rss_member { RSS_FILE, RSS_ANON, RSS_SWAP, RSS_SHMEM };
struct rss_format { /* of the tracepoint kmem:rss_stat: its number, and where its fields lie */
	int64_t id;
	uint32_t mm_id, curr, member, bytes, bytes_size;
};
enum event_kind {
	EVENT_OTHER,
	EVENT_RSS,
	EVENT_FORK,
	EVENT_EXIT,
	EVENT_EXEC,
	EVENT_NAME,
	EVENT_LOST,
	EVENT_FAULT,
	EVENT_MAP
};
struct event {
	enum event_kind kind;
	int64_t t_ns; /* CLOCK_MONOTONIC */
	int32_t pid, tid, ppid, ptid;
	uint32_t cpu;
	uint32_t mm_id, member; /* EVENT_RSS */
	bool curr;	       /* it is the memory of the process itself */
	int64_t bytes;	       /* all that the memory map has of it now */
	int64_t lost;	       /* EVENT_LOST: how many records */
	size_t name_len;       /* EVENT_EXEC, EVENT_NAME */
	char name[16];
	const unsigned char *record; /* for parse_fault(), parse_mapping() */
	size_t record_len;
};
#define FAULT_REGISTERS 33
struct fault { /* EVENT_FAULT */
	bool kernel; /* the kernel touched the page, on behalf of a system call */
	uint64_t address, abi; /* 0: no registers; 1: of a 32-bit program; 2: of a 64-bit one */
	uint64_t registers[FAULT_REGISTERS];
	const unsigned char *stack; /* from the stack pointer on */
	size_t stack_len;
	const unsigned char *chain; /* u64 each, innermost first, and marks (PERF_CONTEXT_*) */
	size_t chain_len;
};
struct mapped { /* EVENT_MAP */
	uint64_t start, len, offset, device, inode;
	uint32_t protection, flags;
	const char *name;
	size_t name_len;
};
bool parse_rss_format(const char *text, size_t len, struct rss_format *out);
bool parse_event(const unsigned char *record, size_t len, const struct rss_format *f, struct event *out);
bool parse_fault(const unsigned char *record, size_t len, unsigned registers, struct fault *out);
bool parse_mapping(const unsigned char *record, size_t len, struct mapped *out);

/* ---- cfi.c: how a caller is found, as .eh_frame says; no I/O, bounded ---- */
#define CFI_REGISTERS 34
struct cfi_how {
	uint32_t rule; /* enum cfi_register_rule, ../unwinding/program.h */
	int32_t value; /* AT, IS: added to the CFA; the register; where the expression stands */
};
struct cfi_row {
	uint8_t ra; /* the register that stands for the return address */
	uint8_t cfa_register;
	bool cfa_is_expression, signal;
	int32_t cfa_offset;
	struct cfi_how registers[CFI_REGISTERS];
};
struct cfi {
	const unsigned char *data; /* of the section */
	size_t size;
	uint64_t address; /* of the section, in the file's own terms */
	bool wide;	  /* addresses have 8 bytes */
	struct cfi_entry {
		uint64_t start, end;
		size_t at;
	} *entries; /* by cfi_index(); free() them */
	size_t count;
};
typedef bool cfi_read_word(void *context, uint64_t address, uint64_t *out);
bool cfi_index(struct cfi *c);
bool cfi_find(const struct cfi *c, uint64_t pc, struct cfi_row *row);
bool cfi_evaluate(const struct cfi *c, int32_t where, const uint64_t *registers, bool has_first, uint64_t first,
		  cfi_read_word *read_word, void *context, uint64_t *out);

/* ---- objects.c: the files that are mapped ---- */
#define OBJECT_SEGMENTS 16
struct object {
	uint32_t id;
	bool loaded, is_elf, wide, has_cfi;
	bool told; /* in the stream */
	int fd;
	uint64_t device, inode;
	uint32_t build_id_len;
	unsigned char build_id[64];
	unsigned segment_count;
	struct segment {
		uint64_t address, offset, size;
	} segments[OBJECT_SEGMENTS];
	struct cfi cfi;
	const unsigned char *image; /* the vDSO, in our own memory */
	size_t image_len;
	struct object *next;
	char path[];
};
uint32_t object_find(uint64_t device, uint64_t inode, const char *path, size_t path_len);
struct object *object_at(uint32_t id);
void object_load(struct object *o, int32_t pid, uint64_t start, uint64_t end);
uint64_t object_address(const struct object *o, uint64_t offset);
bool object_bytes(const struct object *o, uint64_t offset, void *out, size_t len);

/* ---- spaces.c: what is mapped where, as events tell it ---- */
struct mapping {
	uint64_t start, end, offset;
	uint32_t object; /* HW_NONE: none, or not kept */
	uint16_t kind;	 /* enum hw_fault_kind */
	bool executable;
};
struct space {
	struct mapping *mappings;
	size_t count, room;
};
void space_map(struct space *s, const struct mapped *m);
const struct mapping *space_find(const struct space *s, uint64_t address);
void space_copy(struct space *to, const struct space *from);
void space_clear(struct space *s);
bool space_read(struct space *s, int32_t pid); /* anew, from /proc/PID/maps */

/* ---- unwind.c: from registers and a copy of the stack to the calls ---- */
#define CALLS_MAX 127
struct calls {
	struct hw_fault_frame frames[CALLS_MAX];
	unsigned count;
	uint16_t flags; /* enum hw_fault_stack_flags */
};
uint64_t unwind_registers(unsigned *count); /* a set of perf's; 0: of this machine, only call chains are used */
void unwind_stack(const struct space *s, int32_t pid, const struct fault *f, struct calls *out);
uint64_t unwind_stack_pointer(const struct fault *f);

/* ---- faults.c: who touches memory first (--faults) ---- */
const char *faults_attach(pid_t pid); /* NULL, or why not */
void faults_drain(void);
void faults_flush(int64_t now);
void faults_finish(void);

/* ---- rings.c: the rings of perf events, merged ---- */
struct rings_faults {
	uint64_t period;    /* each so many are sampled */
	uint64_t registers; /* a set: which are wanted, with the stack; 0: the kernel's call chain instead */
	bool kernel;	    /* told: faults of the kernel's side are seen as well */
	uint32_t stack_bytes; /* told: of each sample */
};
const char *rings_open(pid_t pid, struct rings_faults *wish); /* NULL, or why not */
int64_t rings_count(void);
void rings_close(void);
int64_t rings_begin(void); /* how many records were lost since */
bool rings_next(int64_t horizon, struct event *out);
void rings_end(void);
int64_t rings_lost_silently(void);
void rings_sleep(const sigset_t *signals, const struct timespec *left);

/* ---- stream.c: writes events; a failing disk never stops the target ---- */
int stream_fd(void);
bool stream_open(int fd, int64_t started_realtime_ns);
void stream_record(uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len, const void *tail,
		   size_t tail_len, size_t tail2_len, const void *tail2);
void stream_event(uint16_t type, uint16_t flags, const void *fixed, size_t len);
void stream_warning(const char *code, const char *text);
void stream_fact(const char *key, const char *value);
void stream_fact_number(const char *key, int64_t value);
void stream_facts_done(void);
void stream_flush(void); /* also the samples that are still gathered */

/* ---- samples.c: the timeline, in columns ---- */
enum { IMAGE_PAGES = HW_SAMPLE_COLUMNS - 2, TREE_PAGES = HW_TREE_COLUMNS - 2 };
void sample_image(int64_t t_ns, uint32_t image, const uint32_t pages[IMAGE_PAGES]);
void sample_tree(int64_t t_ns, uint32_t processes, const uint32_t pages[TREE_PAGES]);
bool sample_worth(const uint32_t *row, const uint32_t *before, int count); /* is there room for such a change? */
void samples_make_room(int64_t now);
void samples_out(void);

/* ---- maps.c: memory maps, as the events tell of them ---- */
enum { RECENT = 8 };
struct recent {
	int64_t t_ns, bytes;
	int32_t tid;
};
struct map {
	uint32_t id, owner; /* proc; HW_NONE: nobody's yet */
	int32_t maker_pid, maker_tid;
	int64_t last_ns;
	int64_t now[RSS_MEMBERS], low[RSS_MEMBERS], high[RSS_MEMBERS];
	struct counter {
		struct recent recent[RECENT];
		uint32_t at;
	} counters[RSS_MEMBERS];
	struct map *next;
};
int64_t maps_sum(void); /* RSS of all at the last event, at most */
int64_t map_high(const struct map *m);
int64_t map_low(const struct map *m);
struct map *map_find(uint32_t id);
struct map *map_add(uint32_t id);
void map_remove(struct map *m, int64_t t_ns);
struct map *map_pending(int32_t pid, int32_t tid);
bool map_event(struct map *m, const struct event *e);
void map_correct(struct map *m, const int64_t bytes[RSS_MEMBERS], int64_t t_ns);
void maps_in_doubt(void);

/* ---- exact.c: follows events (--exact) ---- */
struct exact_row {
	int64_t t_ns;
	struct hw_rss rss;
	int64_t swap;
};
struct exact { /* of one image */
	int64_t max, least, at_ns; /* -1 unknown */
	int64_t lost_before;
	struct hw_rss at_max;
	bool raced;
	struct exact_window { /* the period under way */
		bool open;
		int64_t begin_ns;
		struct exact_row low, high, last;
	} window;
	bool looked; /* and what was seen then */
	int64_t looked_ns, seen_swap;
	struct hw_rss seen;
};
struct proc;
struct image;
const char *exact_attach(pid_t pid); /* NULL, or why not */
void exact_drain(void);
void exact_looked(struct image *im, int64_t now, const struct hw_rss *rss, int64_t swap);
bool exact_rows(const struct image *im);
bool exact_whole(const struct image *im);
bool exact_end_is_coming(struct proc *p);
bool exact_lives_on(const struct proc *p, int64_t now);
void exact_finish(void);

/* ---- procs.c: the processes of the tree ---- */
struct ledger_state { /* see ledger.c */
	int64_t rss, t_ns;	   /* at the last reading; 0: none */
	int64_t cost_ns, cost_rss; /* of it; cost 0: not known */
	int64_t spent_ns;	   /* on all of this image */
	int64_t retry_ns;	   /* not before */
	int64_t level, level_ns;   /* the RSS that it has held, by and large, since then */
};
struct image {
	uint32_t id;
	uint16_t flags; /* enum hw_image_flags */
	bool announced; /* HW_IMAGE_START was written */
	int64_t t_ns;
	struct hw_rss start, last, at_max;
	int64_t at_max_ns, hwm, max_rss, vm_peak, max_swap, swap, max_pte, pte, max_hugetlb, hugetlb, last_read_ns, threads;
	int64_t before_hwm; /* of the time before the recording; -1 */
	uint32_t samples;
	uint32_t written[IMAGE_PAGES]; /* the row that was written last */
	uint64_t start_stack;
	struct exact exact;
	/* where the counters lag: the largest RSS that was counted page by page (-1: never), and when */
	int64_t counted, counted_at, rss_at_look;
	uint32_t counted_tick;
	/* threads that can have lived at once, and what that comes from: those of the last look, and those born since */
	int64_t threads_at_most, threads_seen, born_at_look;
	/* what is known of sharing: pages counted elsewhere in the tree, and the shares by smaps_rollup */
	int64_t duplicate;	  /* anonymous bytes that another process of the tree also counts */
	double file_share;	  /* Pss_File / Rss_File, or < 0 */
	int64_t pss_shmem;	  /* -1 unknown */
	struct rollup shot;	  /* of the snapshot under way */
	bool shot_known;
	struct ledger_state ledger;
};
struct proc {
	int32_t pid, ppid;
	uint32_t id, parent;
	int64_t t_ns;
	int statm_fd, status_fd; /* -1: opened for each read */
	uint64_t start_time;	 /* with the pid it names the process for good; 0 unknown */
	int32_t tid;		 /* whose files are read: the leader's unless it exited before its threads */
	struct image image;
	char comm[64];
	size_t comm_len;
	int64_t text; /* size of the program text in pages: changes with the image */
	uint32_t quiet_looks, looked_tick, due_tick, status_tick;
	uint32_t status_epoch;
	int64_t previous_anon; /* at the look before */
	int64_t minor_faults, child_minor_faults;
	bool ignored_sigchld, uncounted, announced, in_use, faults_known;
	bool exit_read;	 /* its marks were read while it was held at its exit */
	bool image_over; /* a zombie: its last image has ended, its parent has yet to wait */
	/* with --exact: */
	bool map_known, untold, exit_told;
	uint32_t map_id;
	int32_t threads, gone_looks;
	int64_t exit_told_ns;
	uint32_t owner;	 /* proc whose pages image.duplicate are copies of */
	int32_t next;	 /* chain of the hash table */
};
extern struct proc *procs;
extern uint32_t procs_slots, procs_alive;
struct proc *proc_find(int32_t pid);
struct proc *proc_by_id(uint32_t id);
struct proc *proc_add(int32_t pid, int32_t ppid, int64_t now);
void proc_remove(struct proc *p);
uint32_t next_image_id(void);

/* ---- files.c: reads small files of /proc ---- */
void files_budget(void); /* how many may stay open */
ssize_t read_file(const char *path, char *buf, size_t size);
ssize_t read_kept(const struct proc *p, const char *name, int *kept, char *buf, size_t size);
void forget_files(struct proc *p);
bool read_stat(int32_t pid, struct stat_line *out);

/* ---- image.c: program images and processes in the stream ---- */
uint32_t in_pages(int64_t bytes); /* HW_NO_PAGES if unknown */
void image_begin(struct proc *p, int64_t now, uint16_t flags);
void image_announce(struct proc *p, bool read_names);
void image_note(struct proc *p, int64_t now, const struct status *st);
void image_end(struct proc *p, int64_t now, uint16_t how, int64_t folded_maxrss);
void image_over(struct proc *p, int64_t now);
void children_uncounted(const struct proc *p);
void last_sight(int32_t pid);
void proc_announce(struct proc *p, uint16_t seen);
void proc_end(struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru);
void proc_write_end(const struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru);

/* ---- look.c: reads one process, notices a new image ---- */
enum look { LOOK_OK, LOOK_ZOMBIE, LOOK_GONE };
enum look look_statm(struct proc *p, struct statm *out);
enum look look_status(struct proc *p, int64_t now);
bool look_rollup(struct proc *p, int32_t tid, int64_t now, struct rollup *out, int64_t *cost_ns);
void image_replaced(struct proc *p, int64_t now);

/* ---- discover.c: finds processes that were born since the last look ---- */
void discover_init(int32_t first_pid);
void discover_attached(int64_t now); /* those that live already */
void discover(int64_t now);
void discover_all(int64_t now); /* a scan of all of /proc */
int64_t threads_born(bool up_to_now);
int64_t threads_born_before(void); /* this look */

/* ---- tree.c: the memory of the tree: its maximum, and what it was at least ---- */
bool tree_counts(const struct proc *p);
int64_t at_least_0(int64_t value);
int64_t image_anon(const struct image *im);
int64_t image_file(const struct image *im);
void tree_look(int64_t now);
bool tree_in_doubt(void); /* the maximum is a guess that is soon to be counted: nothing should delay that */
void tree_write(void);

/* ---- sharing.c: how much of it is counted in more than one process ---- */
void tree_forked(struct proc *child);
void tree_proc_left(struct proc *p);
void sharing_follow(struct proc *p, int64_t grown);
bool sharing_count(int64_t now, const struct hw_tree_peak *t, double uncertain, const struct hw_tree_peak *best,
		   bool best_counted, int64_t *certain);

/* ---- ledger.c: what a process's memory consists of, at its maximum ---- */
void ledger_look(struct proc *p, int64_t now);
void ledger_exit(struct proc *p, int64_t now, int64_t threads);
void ledger_write(void);

/* ---- count.c: what the counters hold back ---- */
void count_pages(struct proc *p, int32_t tid, int64_t now, bool held);

/* ---- epochs.c: what it was at most ---- */
/* Before Linux 6.2 a thread keeps what its page faults added to itself until the 66th: check_sync_rss_stat() of
 * mm/memory.c hands in when more than 64 events (TASK_RSS_EVENTS_THRESH) were counted before the present one, whose own
 * pages come after that. A fault on a mapped file brings up to 64 KiB at once (fault_around_bytes). */
#define HW_FAULTS_HELD_BACK 66
#define HW_FAULT_AROUND_BYTES 65536
int64_t mark_fall_bytes(int64_t threads);
void tree_image_ended(const struct image *im, bool mark_known);
void tree_unseen(uint32_t count); /* pids that came and went between two looks */
void epoch_found_dead(void);	  /* a process of the tree, by its parent, that nobody ever looked at alive */
void epoch_stranger(void);	  /* somebody new whose parent may have been of the tree */
bool epoch_urgent(void);
bool epoch_complete(void);
void epoch_close(void);
void epochs_write(void);

/* ---- sampler.c: the pace of looking ---- */
int64_t sampler_next(void); /* when to look again */
void sampler_tick(int64_t now);
int32_t sampler_finish(int64_t now); /* the last look; how many processes still live */
void sampler_flush(int64_t now);

/* ---- trace.c: ptrace events ---- */
bool trace_seize(pid_t pid);
void trace_stop(pid_t tid, int status, const struct rusage *ru, int64_t now);
bool trace_is_group_stop(int status);
void trace_gone(pid_t tid, int status, const struct rusage *ru, int64_t now);

/* ---- target.c: what can be known of the command before it starts, and its start ---- */
const char *target_refuses_trace(const char *command, const char **text);
struct launch {
	pid_t pid;
	int error;	/* errno of a failed execve; negative: of what comes before it */
	int error_fd;	/* carries it; end of file: the command runs */
	int release_fd; /* close it: go */
};
bool target_fork(char **argv, const sigset_t *mask, bool hold, struct launch *out);
void target_let_go(struct launch *l, int keep);
void target_release(struct launch *l);
enum exec_state { EXEC_PENDING, EXEC_DONE, EXEC_FAILED };
enum exec_state target_execed(struct launch *l, int *error);
void signals_block(sigset_t *initial_mask, sigset_t *handled);
void signals_survive(void); /* after the fork: a signal of writing must not end us */

/* ---- limit.c: the limit of the command, and its cgroup ---- */
struct command_limits { /* what the child applies to itself */
	int procs_fd;		    /* of its cgroup, or -1 */
	uint64_t data_bytes, as_bytes; /* resource limits; 0: none */
};
extern struct command_limits command_limits;
void limit_group(const char *path);
void limit_begin(void);
bool limit_look(int64_t now);
void limit_write(void);
void limit_finish(int64_t now);
int64_t limit_oom_kills(void); /* in the group, since it began; -1 unknown */

/* ---- watch.c: waits, until all is over ---- */
struct ending {
	int status; /* of the command, as wait(2) gives it */
	int64_t at_ns;
	int exec_errno; /* why it could not be started, else 0; negative: put under its limit */
	bool timed_out;
	int64_t user_ns, system_ns, largest_maxrss; /* over all that was waited for */
};
const struct ending *watch(struct launch *started, const sigset_t *signals);

/* ---- attach.c: a process that runs already ---- */
struct options;
int follow_attached(const struct options *o, const sigset_t *signals);
bool attach_may_have_adopted(const struct stat_line *stranger);
void attach_lost_orphan(void);

/* ---- facts.c: the host ---- */
void facts_write(pid_t launcher);
int64_t oom_kills(void);

/* ---- options.c: the command line ---- */
struct options {
	const char *output;
	int output_fd;
	pid_t launcher, attach;
	bool mask_given;
	sigset_t mask; /* what the command starts with */
	char **argv;
};
struct options parse_options(int argc, char **argv);
_Noreturn void die(const char *text, const char *detail);

/* ---- main.c ---- */
struct globals {
	bool trace, exact, faults;
	bool exact_wanted;
	int64_t faults_bytes; /* each so much of page faults is one sample; 0: none */
	bool statm_exact;
	bool batched_per_cpu; /* Linux 6.2 and later: percpu counters; before, 64 pages a thread */
	long page_size, cpus;
	int64_t period_ns, timeout_ns, kill_after_ns, linger_ns, duration_ns;
	struct hw_stats stats;
	pid_t self, command;
	pid_t attached, leave_out; /* 0: none */
	uint32_t tick, epoch;
	int64_t snapshot_ns; /* CPU time spent on smaps_rollup */
	int64_t exact_ns;    /* and on events, faults among them */
	int64_t lost_before; /* events that were lost before those that are read now came */
};
extern struct globals g;
void command_has_execed(void); /* told by the trace */
bool command_runs(void); /* it has called execve: what is seen of it is its own */
bool births_are_told(void); /* by the trace, or by events: there is no need to search */
void clock_start(void); /* t = 0 */
int64_t now_ns(void);	/* since then */
int64_t monotonic_ns(void); /* CLOCK_MONOTONIC itself */
int64_t since_start(int64_t monotonic);
int64_t cpu_ns(void);

#endif
