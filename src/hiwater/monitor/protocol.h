/* The event stream of hiwater-monitor, which is also the .hiw file.
 *
 * A stream is one `struct hw_header` and then records. Everything is in the byte order of the machine that
 * measured; the reader learns it from `byte_order`. A record is a `struct hw_record` followed by a payload; `size`
 * counts both and is a multiple of 8, so every payload starts on 8 bytes. A reader skips types it does not know, and
 * ignores payload bytes behind the fields it knows: fields may be appended within a version, never change.
 *
 * A stream may stop anywhere: what comes before a short or broken record is valid. A stream that ends without
 * HW_END was cut, either by the death of the monitor or by a full disk (then HW_CUT says why and when).
 *
 * Units: bytes in u64/i64 fields named *_bytes, pages (hw_header.page_size) in u32 fields named *_pages, nanoseconds
 * in *_ns. -1 (or HW_NO_PAGES in a u32 column) stands for "could not be measured". Times `t_ns` count from the
 * moment just before the target was forked, or attached to (CLOCK_MONOTONIC).
 *
 * Strings: `len` fields count bytes without a terminator; bytes are as the kernel gave them, in no encoding.
 *
 * `proc` numbers processes and `image` numbers program images in the order in which they were found, from 0; the
 * command itself, or the process that was attached to, is proc 0. Neither is ever used twice, whatever happens to
 * pids.
 */
#ifndef HW_PROTOCOL_H
#define HW_PROTOCOL_H

#include <stdint.h>

#define HW_MAGIC "\x89HIWATR\n"
#define HW_VERSION 1
#define HW_BYTE_ORDER 0x01020304u
#define HW_NO_PAGES 0xffffffffu
#define HW_NONE 0xffffffffu /* no proc, no image */

struct hw_header {
	char magic[8];
	uint32_t byte_order;
	uint16_t version;
	uint16_t header_size; /* records begin here */
	uint32_t page_size;
	uint32_t reserved;
	int64_t started_realtime_ns; /* CLOCK_REALTIME at t = 0 */
};

struct hw_record {
	uint32_t size;
	uint16_t type;
	uint16_t flags; /* meaning depends on the type */
};

enum hw_type {
	HW_FACTS = 1,	/* key NUL value NUL ... : the host and the options in force */
	HW_COMMAND,	/* argument NUL argument NUL ...; flags: how many (65535: that many or more) */
	HW_PROC_START,	/* struct hw_proc_start */
	HW_IMAGE_START, /* struct hw_image_start, then comm, exe and cmdline */
	HW_IMAGE_END,	/* struct hw_image_end */
	HW_PROC_END,	/* struct hw_proc_end */
	HW_SAMPLES,	/* struct hw_samples, then its columns */
	HW_SNAPSHOT,	/* struct hw_snapshot: one process's smaps_rollup */
	HW_TREE_PEAK,	/* struct hw_tree_peak: a new maximum of the tree; the last one of a stream counts */
	HW_TREE_UPPER,	/* struct hw_tree_upper[]: replaces the one before */
	HW_WARNING,	/* code NUL text NUL */
	HW_STATS,	/* struct hw_stats: replaces the one before */
	HW_CUT,		/* struct hw_cut: from here on records are missing */
	HW_END,		/* struct hw_end: the last record of a complete stream that is the monitor's */
	HW_LEDGER,	/* struct hw_ledger, then its rows: one process's smaps; the last one of an image counts */
	HW_CGROUP = 16, /* key NUL text NUL ...: what the files of the command's cgroup say; flags: enum hw_cgroup_when */
	HW_TREE_SAMPLES = 17, /* struct hw_samples, then its columns: the whole tree */
	/* Appended behind HW_END once all is over, not by the monitor: struct hw_heap_piece, then `length` bytes */
	HW_HEAP_LOG = 18,       /* of a file of the heap sampler (heap/sampler/stream.h) */
	HW_HEAP_SYMBOLS = 19,   /* of JSON: the names of the addresses in those files */
	HW_HEAP_EXECUTION = 20, /* of the event stream of the execution that the files are of, if it is not this one */
	HW_HEAP_PROFILE = 30,   /* of JSON: a profile that another tool made; there are no files of the sampler then */
	HW_HEAP_TRIED = 31,	/* of JSON: what the command needs under other settings of malloc */
	/* Page faults by who made them (--faults): */
	HW_FAULT_IMAGE = 24,  /* struct hw_fault_image, then its comm: who made faults */
	HW_FAULT_MODULE = 25, /* struct hw_fault_module, then its build-id and path: a file that stacks or samples name */
	HW_FAULT_STACK = 26,  /* struct hw_fault_stack, then struct hw_fault_frame[]: calls, innermost first */
	HW_FAULTS = 27,       /* struct hw_fault[]: sampled page faults */
	HW_FAULT_TOTALS = 28, /* struct hw_fault_totals: replaces the one before */
};

/* How a moment was learnt. */
enum hw_seen {
	HW_SEEN_SAMPLED = 0, /* found by looking: the moment itself lies between the look before and this one */
	HW_SEEN_EVENT = 1,   /* the kernel told it at that instant (fork by us, ptrace event, wait) */
};

struct hw_proc_start { /* hw_record.flags: enum hw_seen */
	int64_t t_ns;
	uint32_t proc;
	uint32_t parent; /* proc number of the parent, HW_NONE if unknown */
	int32_t pid;
	int32_t ppid;
};

/* The resident set of one memory map, in bytes; -1 unknown. */
struct hw_rss {
	int64_t rss_bytes;
	int64_t anon_bytes;
	int64_t file_bytes;
	int64_t shmem_bytes;
};

enum hw_image_flags {
	HW_IMAGE_EVENT = 1,    /* its beginning is known from an exec event; `start` is its first instant */
	HW_IMAGE_FORKED = 2,   /* a copy of its parent's memory: no execve yet when it was found */
	HW_IMAGE_CLIPPED = 4,  /* cmdline was cut to HW_CMDLINE_MAX */
	HW_IMAGE_GUESSED = 8,  /* nothing was read of it: the names are those of the command that was asked for */
	HW_IMAGE_LOST_SETUID = 16, /* a set-user-ID program that runs without its privilege, because it is traced */
	HW_IMAGE_SAME_MAP = 32, /* runs in its parent's memory map (vfork, CLONE_VM): its figures are the parent's */
	HW_IMAGE_ATTACHED = 64, /* ran before the recording: what is known of that time is before_hwm_bytes */
};
#define HW_CMDLINE_MAX 4096

struct hw_image_start { /* hw_record.flags: enum hw_image_flags */
	int64_t t_ns;
	uint32_t image;
	uint32_t proc;
	struct hw_rss start; /* at t_ns */
	int64_t before_hwm_bytes; /* VmHWM at t_ns of an image that ran before the recording; else -1 */
	uint16_t comm_len;
	uint16_t exe_len;
	uint32_t cmdline_len; /* arguments, each with its NUL */
};

enum hw_image_end_how {
	HW_ENDED_VANISHED = 0, /* gone between two looks: `last` and hwm are the last that were seen */
	HW_ENDED_EXIT_STOP = 1, /* read while the process was held at its exit */
	HW_ENDED_EXEC = 2,      /* replaced by execve: as VANISHED, but folded_maxrss_bytes bounds it */
	HW_ENDED_ALIVE = 3,     /* still there when the recording ended */
};

struct hw_image_end { /* hw_record.flags: enum hw_image_end_how */
	int64_t t_ns;
	uint32_t image;
	uint32_t samples; /* how often it was read */
	struct hw_rss last;
	int64_t hwm_bytes;	     /* largest VmHWM or RSS that was read */
	int64_t max_rss_bytes;	     /* largest exact RSS that was read (statm, where that is an exact sum) */
	int64_t vm_peak_bytes;	     /* VmPeak: the resident set can not have been larger */
	int64_t folded_maxrss_bytes; /* ru_maxrss of the process just after execve: max(this image, those before it,
					children already waited for); -1 unless HW_ENDED_EXEC under trace */
	struct hw_rss at_max;	     /* split where the largest RSS was read */
	int64_t at_max_ns;
	int64_t max_swap_bytes;
	int64_t last_read_ns;	     /* when hwm_bytes was last read; later growth is not in it */
	int64_t max_threads;	     /* most threads seen */
	int64_t max_pte_bytes;	     /* page tables (VmPTE), which no RSS counts */
	int64_t max_hugetlb_bytes;   /* pages of hugetlbfs and MAP_HUGETLB (HugetlbPages), likewise */
	/* With events of every change (--exact); -1 without, or if nothing is known of this image: */
	int64_t exact_max_bytes;     /* its largest RSS */
	int64_t exact_lost;	     /* events of the whole tree that were lost while it lived */
	int64_t exact_least_bytes;   /* the largest RSS that it had for certain: less where the order of the events of
					several threads is in doubt, or where events were lost */
	int64_t exact_at_ns;	     /* when exact_max_bytes was reached */
	int64_t exact_raced;	     /* 1: events of several threads came at once, so that a maximum of microseconds can
					lie between them unseen */
	int64_t counted_bytes;	     /* largest RSS that was counted page by page (smaps_rollup), where statm is no exact
					sum; -1: it was not, or more pages came meanwhile */
	int64_t threads_at_most;     /* that lived at once, seen or not: before Linux 6.2 each can hide 66 page faults */
};

enum hw_proc_end_flags {
	HW_PROC_REAPED = 1,	/* the monitor itself waited for it: status and rusage are its own */
	HW_PROC_TRACED_WAIT = 2, /* told by ptrace: status and rusage are its own, its parent has yet to wait */
	HW_PROC_MAY_BE_UNCOUNTED = 4, /* its parent ignores SIGCHLD: its peak is in no ancestor's rusage */
};

struct hw_proc_end { /* hw_record.flags: enum hw_proc_end_flags */
	int64_t t_ns;
	uint32_t proc;
	int32_t status; /* as wait(2) gives it; -1 unknown */
	int64_t maxrss_bytes; /* ru_maxrss of wait4: this process, its earlier images, the children it waited for */
	int64_t user_ns;
	int64_t system_ns;
	int64_t minor_faults;
	int64_t major_faults;
};

/* Samples in columns. Only what changed is written: an image keeps its values until its next row.
 *
 * `columns` times a struct hw_column and its data, `count` unsigned numbers of `width` bytes each, padded to 8 bytes
 * in all. A value is the stored number plus `base`; a column of width 0 stores nothing and is `base` throughout.
 * HW_SAMPLES: dt_us (since the row before; the first since base_ns), image, and in pages (HW_NO_PAGES unknown) rss,
 * anon, shmem, swap, hwm, pte, hugetlb; file-backed = rss - anon - shmem.
 * HW_TREE_SAMPLES: dt_us, how many processes, and in pages the estimate that counts shared pages once, its anon and
 * shmem, and the sums of swap, pte and hugetlb. Rows are written while there are two processes or more; one with fewer
 * says that from then on the tree is what its processes are. */
#define HW_ROWS_MAX 4096 /* rows of one record */
#define HW_SAMPLE_COLUMNS 9
#define HW_TREE_COLUMNS 8
struct hw_samples {
	int64_t base_ns;
	uint32_t count;
	uint32_t columns; /* HW_SAMPLE_COLUMNS, HW_TREE_COLUMNS */
};
struct hw_column {
	uint32_t base;
	uint32_t width; /* 0, 1, 2 or 4 */
};

struct hw_snapshot {
	int64_t t_ns;
	uint32_t image;
	uint32_t cost_us;
	int64_t rss_bytes, pss_bytes, pss_anon_bytes, pss_file_bytes, pss_shmem_bytes;
	int64_t private_bytes, swap_bytes, swap_pss_bytes, lazyfree_bytes, anon_huge_bytes;
};

enum hw_ledger_flags {
	HW_LEDGER_HELD = 1,   /* the process was stopped while it was read: nothing moved */
	HW_LEDGER_MERGED = 2, /* there was more than fits: the smallest are merged, those of a name into a row without one */
};

/* What one process's memory consisted of at (nearly) a maximum, from its smaps. */
struct hw_ledger { /* hw_record.flags: enum hw_ledger_flags */
	int64_t t_ns;
	uint32_t image;
	uint32_t cost_us; /* CPU time that reading took */
	int64_t rss_before_bytes, rss_after_bytes; /* statm just before and just after smaps: what moved meanwhile */
	int64_t swap_bytes, pte_bytes, hugetlb_bytes; /* of status, just before: VmSwap, VmPTE, HugetlbPages */
	uint32_t mappings; /* that were read */
	uint32_t rows;	   /* that follow, largest RSS first, at most HW_LEDGER_ROWS_MAX: struct hw_ledger_row, then
			      its name; each padded to 8 bytes */
};
#define HW_LEDGER_ROWS_MAX 400
#define HW_LEDGER_ANON_MAX 64 /* unnamed anonymous mappings with a row of their own */

enum hw_map_kind {
	HW_MAP_HEAP = 1,     /* [heap]: brk */
	HW_MAP_STACK,	     /* [stack] of the main thread */
	HW_MAP_THREAD_STACK, /* stacks of other threads, all in one row: a stack pointer lies in it, or it has a guard and the
				size of such ones; the kernel keeps no record of them */
	HW_MAP_ANON,	     /* anonymous, without a name */
	HW_MAP_ANON_NAMED,   /* anonymous, named by prctl(PR_SET_VMA_ANON_NAME); by that name */
	HW_MAP_FILE,	     /* a file, by path; its anon part was written to and is no longer the file's */
	HW_MAP_SHMEM,	     /* tmpfs file, memfd, SysV segment, anonymous shared (/dev/zero); by name */
	HW_MAP_SPECIAL,	     /* [vdso] and the like; by name */
	HW_MAP_UNMAPPED_SHMEM, /* open tmpfs file or memfd: size is what it holds beyond what mappings show; rss 0 */
	HW_MAP_ARENA,	     /* heaps of glibc malloc's arenas of threads, all in one row: recognised by their shape */
	HW_MAP_KINDS,
};
enum hw_map_flags { /* of the first mapping in the row */
	HW_MAP_READ = 1,
	HW_MAP_WRITE = 2,
	HW_MAP_EXEC = 4,
	HW_MAP_SHARED = 8,   /* 's': what is written is seen by others */
	HW_MAP_DELETED = 16, /* the file has no name any more: " (deleted)" is cut off */
	HW_MAP_ON_TMPFS = 32, /* its file takes memory, not disk */
};

/* Mappings of the same kind and name (fields as smaps(5) has them, -1: this kernel shows none). */
struct hw_ledger_row {
	uint16_t kind;	/* enum hw_map_kind */
	uint16_t flags; /* enum hw_map_flags */
	uint32_t count; /* mappings */
	uint64_t start; /* address of the first */
	int64_t size_bytes, rss_bytes, pss_bytes;
	int64_t private_bytes; /* Private_Clean + Private_Dirty: mapped once, here */
	int64_t shared_bytes;  /* Shared_Clean + Shared_Dirty */
	int64_t anon_bytes, lazyfree_bytes, anon_huge_bytes, swap_bytes, swap_pss_bytes, locked_bytes;
	uint32_t name_len;
	uint32_t reserved;
};

enum hw_tree_flags {
	HW_TREE_SNAPSHOT = 1, /* the shared pages were counted by smaps_rollup, not estimated */
};

/* A new maximum of the memory of the whole tree. */
struct hw_tree_peak { /* hw_record.flags: enum hw_tree_flags */
	int64_t t_ns;
	int64_t estimate_bytes;	 /* shared pages counted once, as well as is known */
	int64_t sum_bytes;	 /* sum of RSS: shared pages counted in each process */
	int64_t anon_bytes, file_bytes, shmem_bytes, swap_bytes; /* the parts of the estimate; swap is not in it */
	int64_t lower_bytes;	 /* largest so far (not only now) that is certain */
	uint32_t processes;
	uint32_t reserved;
};

/* Upper bound of the tree peak. The time is cut into epochs, each ending when the marks of all live processes have
 * been read. For each number of `unknown` images (that ended, or came and went unseen, within an epoch, so that their
 * marks are not known) the largest sum of the known marks of one epoch. The reader adds unknown times the largest
 * that an unknown one can have been, and takes the maximum over the rows. */
struct hw_tree_upper {
	uint32_t unknown;
	uint32_t images; /* how many known marks are in the sum: each can be short by the counters' error */
	int64_t sum_bytes;
};

struct hw_stats {
	int64_t t_ns;
	int64_t period_ns;    /* asked for */
	int64_t ticks;	      /* how often it looked */
	int64_t reads;	      /* how many statm files it read */
	int64_t snapshots;    /* how many smaps_rollup files */
	int64_t cpu_ns;	      /* CPU time of the monitor: sampling, tracing, writing */
	int64_t unseen;	      /* process numbers handed out on the machine that it could never look at */
	int64_t longest_gap_ns; /* longest time between two looks */
	int64_t max_alive;    /* most processes alive at once */
	int64_t processes;    /* processes found */
	int64_t floor_bytes;  /* RSS of the monitor itself when it forked: what ru_maxrss of the command starts from */
	int64_t uncounted;    /* 1 if some process of the tree ignored SIGCHLD: unseen children may be in no rusage */
	int64_t swap_peak_bytes; /* largest sum of VmSwap over the tree */
	int64_t pte_peak_bytes;	 /* largest sum of VmPTE */
	int64_t hugetlb_peak_bytes; /* largest sum of HugetlbPages: shared ones count in each process */
	int64_t demand_peak_bytes;  /* largest sum of the tree's estimate, swap, page tables and hugetlb pages at a look */
	int64_t coarse_bytes; /* largest change that was left out of the samples for want of room; 0: all are there */
	/* With events of every change (--exact), else -1: */
	int64_t events;	      /* how many were read */
	int64_t lost_events;  /* how many were lost for want of room in the rings */
	int64_t sum_peak_bytes; /* largest sum of RSS over the tree at any instant, shared pages counted in each process */
	int64_t sum_peak_ns;
	/* What others can have changed unseen, by the counters of the whole machine; written at the end: */
	int64_t strangers_took_bytes; /* at most so much was taken from the tree by reclaim */
	int64_t strangers_gave_bytes; /* at most so much was added by khugepaged */
	int64_t events_cpu_ns;	      /* CPU time of the monitor for the events; part of cpu_ns */
};

/* Each replaces the one before of the same kind. Keys are names of files (memory.stat, memory.events ...), with ../ in
 * front for each level above the command's group, and the values are what the kernel wrote there. */
enum hw_cgroup_when {
	HW_CGROUP_BEGIN = 0,   /* path, version, and the limits in force */
	HW_CGROUP_MAXIMUM = 1, /* t_ns, usage and its parts, where the largest usage was seen */
	HW_CGROUP_END = 2,     /* t_ns, largest_usage_seen, and the counters once the command had ended */
};

enum hw_heap_piece_flags {
	HW_HEAP_DEFLATED = 1, /* a zlib stream, of at most HW_HEAP_PIECE_MAX bytes */
};
#define HW_HEAP_PIECE_MAX (1u << 20)

/* One piece of a file that does not fit into one record; the pieces of a file follow each other in order. */
struct hw_heap_piece { /* hw_record.flags: enum hw_heap_piece_flags */
	uint32_t pid, number; /* of HW_HEAP_LOG: as in the file's head; else 0 */
	uint64_t offset;      /* in the file, before it was deflated */
	uint64_t total_bytes; /* of the file */
	uint32_t length;      /* of what follows */
	uint32_t reserved;
};

/* A program image, or the copy of one, that made faults. Numbers are of their own: pid and t_ns tell which HW_IMAGE. */
struct hw_fault_image { /* hw_record.flags: 1: begun by execve, 0: by fork, or not known */
	int64_t t_ns;
	uint32_t number;
	int32_t pid;
	uint32_t comm_len;
	uint32_t reserved;
};

struct hw_fault_module {
	uint32_t module;
	uint16_t build_id_len; /* 0: none, or it could not be read */
	uint16_t path_len;
};

enum hw_fault_stack_flags {
	HW_FAULT_STACK_CUT = 1,	    /* it goes on beyond what is kept of it */
	HW_FAULT_STACK_BROKEN = 2,  /* the next caller could not be found */
	HW_FAULT_STACK_GUESSED = 4, /* a frame was found by what looks like a return address: nothing describes its code */
};
struct hw_fault_stack { /* hw_record.flags: enum hw_fault_stack_flags */
	uint32_t stack; /* numbered from 0 on */
	uint32_t frames;
};
struct hw_fault_frame {
	uint64_t address; /* in the file's own terms; without a module in memory's */
	uint32_t module;  /* HW_NONE: no file, or unknown */
	uint32_t exact;   /* 1: the instruction itself; 0: where the call returns to, look up the one before */
};

enum hw_fault_kind { /* what lies at the address; 0 unknown: mostly anonymous memory that was moved by mremap */
	HW_FAULT_ANON = 1,
	HW_FAULT_HEAP,    /* brk */
	HW_FAULT_STACK_MEMORY, /* of the main thread */
	HW_FAULT_FILE,    /* mapped; the kernel maps up to 64 KiB around what was touched; written privately it is anonymous */
	HW_FAULT_SHMEM,   /* tmpfs, memfd, System V, shared anonymous memory */
	HW_FAULT_SPECIAL, /* [vdso] and the like */
	HW_FAULT_HUGETLB, /* of hugetlbfs, in no RSS */
};
enum hw_fault_flags {
	HW_FAULT_BY_KERNEL = 1, /* touched by a system call, whose caller the stack shows */
};
struct hw_fault { /* stands for hw_fault_totals.period faults */
	int64_t t_ns;
	uint64_t address;
	uint32_t image;
	uint32_t stack;	 /* HW_NONE: not known */
	uint32_t module; /* mapped at the address; HW_NONE: no file */
	int32_t tid;
	uint16_t kind;	/* enum hw_fault_kind */
	uint16_t flags; /* enum hw_fault_flags */
	uint32_t reserved;
};

enum hw_fault_totals_flags {
	HW_FAULT_KERNEL_SEEN = 1, /* faults of the kernel's side are among them */
	HW_FAULT_CHAINS = 2,	  /* stacks are the kernel's call chains, by frame pointers */
};
struct hw_fault_totals { /* hw_record.flags: enum hw_fault_totals_flags */
	int64_t t_ns;
	int64_t period;	 /* each so many faults of a thread on a CPU are one sample */
	int64_t faults;	 /* counted, of the whole tree */
	int64_t samples; /* in the stream */
	int64_t lost;	 /* samples and other records that found no room in the rings */
	int64_t unkept;	 /* samples whose stacks were too many */
	int64_t stack_bytes; /* so much of the stack was looked at */
	int64_t cpu_ns;	 /* of the monitor, for all this */
};

struct hw_cut {
	int64_t t_ns;
	int32_t error; /* errno of the write that failed */
	int32_t reserved;
};

enum hw_ended_by {
	HW_BY_EXIT = 0,
	HW_BY_SIGNAL,
	HW_BY_OOM,
	HW_BY_TIMEOUT,
	HW_BY_NOT_STARTED, /* or not attached to: HW_WARNING not-attached says why */
	HW_BY_DETACHED,	   /* attached to: the time was over, or the user ended the recording; the process goes on */
	HW_BY_GONE,	   /* attached to: the process ended; nobody told us its status */
};

struct hw_end {
	int64_t t_ns;	    /* when the recording ended */
	int64_t command_ns; /* when the command itself had ended, or was let go */
	int32_t status;	    /* of the command, as wait(2) gives it; -1 unknown */
	int32_t ended_by;   /* enum hw_ended_by */
	int32_t exec_errno; /* why the command could not be started, else 0; negative: put under its limit */
	int32_t left_alive; /* descendants that still ran when the recording ended */
	int64_t user_ns;    /* of all that the monitor waited for */
	int64_t system_ns;
	int64_t tree_maxrss_bytes; /* largest ru_maxrss of all that the monitor waited for */
};

#endif
