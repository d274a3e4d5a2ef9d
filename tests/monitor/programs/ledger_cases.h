/* smaps as it was captured, and as other kernels and C libraries would give it; and what must become of it. */
#ifndef LEDGER_CASES_H
#define LEDGER_CASES_H

/* Sizes in kB: Size, Rss, Pss, Shared_Dirty, Private_Dirty, Anonymous. */
#define V(heading, size, rss, pss, shared, private, anon)                                                              \
	heading "\nSize:           " #size " kB\nKernelPageSize:        4 kB\nRss:            " #rss                      \
		" kB\nPss:            " #pss " kB\nPss_Dirty:             0 kB\nShared_Clean:          0 kB\n"                \
		"Shared_Dirty:   " #shared " kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:  " #private                    \
		" kB\nReferenced:            4 kB\nAnonymous:      " #anon                                                \
		" kB\nKSM:                   0 kB\nLazyFree:              0 kB\nAnonHugePages:         0 kB\n"             \
		"Swap:                  0 kB\nSwapPss:               0 kB\nLocked:                0 kB\nTHPeligible: 0\n"
#define PLAIN "VmFlags: rd wr mr mw me ac \n"
#define GUARDED "VmFlags: rd wr mr mw me gu ac \n"

struct ledger_case {
	const char *name, *text;
	uint64_t stack_pointers[4];
	int64_t stack_limit;
	const char *rows; /* kind count start flags size rss private anon name, sizes in kB */
};

static const struct ledger_case ledger_cases[] = {
	{"names",
	 V("55b3856e6000-55b3856e8000 r--p 00000000 fe:00 2148805                    /opt/a b", 8, 8, 2, 8, 0, 0) PLAIN
	 V("55b3856e8000-55b3856e9000 r-xp 00002000 fe:00 2148805                    /opt/a b", 4, 4, 1, 4, 0, 0) PLAIN
	 V("55b3856e9000-55b3856ea000 rw-p 00003000 fe:00 2148805                    /opt/a b", 4, 4, 4, 0, 4, 4) PLAIN
	 V("55b3856ea000-55b3856eb000 r--p 00000000 fe:00 2148806                    /opt/a b (deleted)", 4, 1, 1, 0, 1, 0) PLAIN
	 V("55b3c12bf000-55b3c32bf000 rw-p 00000000 00:00 0                          [heap]", 32768, 900, 900, 0, 900, 900) PLAIN
	 V("7f0000000000-7f0000100000 rw-s 00000000 00:01 0                          /SYSV00000000 (deleted)", 1024, 100, 50, 100, 0, 0) PLAIN
	 V("7f0000100000-7f0000200000 rw-s 00000000 00:01 1026                       /memfd:m x (deleted)", 1024, 200, 200, 0, 200, 0) PLAIN
	 V("7f0000200000-7f0000300000 rw-s 00000000 00:01 1025                       /dev/zero (deleted)", 1024, 300, 300, 0, 300, 0) PLAIN
	 V("7f0000300000-7f0000400000 rw-s 00000000 00:17 7                          /dev/shm/seg", 1024, 400, 400, 0, 400, 0) PLAIN
	 V("7f0000400000-7f0000500000 rw-s 00000000 00:18 7                          /overlay/file", 1024, 500, 500, 0, 500, 0) PLAIN
	 V("7f0000500000-7f0000600000 rw-p 00000000 00:00 0                          [anon:my pool]", 1024, 600, 600, 0, 600, 600) PLAIN
	 V("7f0000600000-7f0000700000 rw-s 00000000 00:01 9                          [anon_shmem:shared pool]", 1024, 700, 700, 0, 700, 0) PLAIN
	 V("7ffc4f5e1000-7ffc4f602000 rw-p 00000000 00:00 0                          [stack]", 132, 16, 16, 0, 16, 16) PLAIN
	 V("7ffc4f700000-7ffc4f702000 r-xp 00000000 00:00 0                          [vdso]", 8, 5, 0, 5, 0, 0) PLAIN
	 V("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", 4, 0, 0, 0, 0, 0) PLAIN,
	 {0}, 8 << 20,
	 "HEAP 1 55b3c12bf000 3 32768 900 900 900 \n"
	 "SHMEM 1 7f0000600000 43 1024 700 700 0 [anon_shmem:shared pool]\n"
	 "ANON_NAMED 1 7f0000500000 3 1024 600 600 600 my pool\n"
	 "FILE 1 7f0000400000 11 1024 500 500 0 /overlay/file\n"
	 "SHMEM 1 7f0000300000 43 1024 400 400 0 /dev/shm/seg\n"
	 "SHMEM 1 7f0000200000 59 1024 300 300 0 /dev/zero\n"
	 "SHMEM 1 7f0000100000 59 1024 200 200 0 /memfd:m x\n"
	 "SHMEM 1 7f0000000000 59 1024 100 0 0 /SYSV00000000\n"
	 "STACK 1 7ffc4f5e1000 3 132 16 16 16 \n"
	 "FILE 3 55b3856e6000 1 16 16 4 4 /opt/a b\n"
	 "SPECIAL 1 7ffc4f700000 5 8 5 0 0 [vdso]\n"
	 "FILE 1 55b3856ea000 17 4 1 1 0 /opt/a b\n"
	 "SPECIAL 1 ffffffffff600000 4 4 0 0 0 [vsyscall]\n"},
	{"stacks by stack pointer, by size, and a mapping that is none",
	 V("7f1000000000-7f1000001000 ---p 00000000 00:00 0 ", 4, 0, 0, 0, 0, 0) PLAIN
	 V("7f1000001000-7f1000801000 rw-p 00000000 00:00 0 ", 8192, 100, 100, 0, 100, 100) PLAIN /* a sleeping thread */
	 V("7f1000801000-7f1000802000 ---p 00000000 00:00 0 ", 4, 0, 0, 0, 0, 0) PLAIN
	 V("7f1000802000-7f1001002000 rw-p 00000000 00:00 0 ", 8192, 50, 50, 0, 50, 50) PLAIN /* a running one */
	 V("7f1001002000-7f1001006000 ---p 00000000 00:00 0 ", 16, 0, 0, 0, 0, 0) PLAIN
	 V("7f1001006000-7f1001103000 rw-p 00000000 00:00 0 ", 1012, 20, 20, 0, 20, 20) PLAIN /* Java: by size, of the next one */
	 V("7f1001103000-7f1001107000 ---p 00000000 00:00 0 ", 16, 0, 0, 0, 0, 0) PLAIN
	 V("7f1001107000-7f1001204000 rw-p 00000000 00:00 0 ", 1012, 30, 30, 0, 30, 30) PLAIN /* Java: by stack pointer */
	 V("7f1002000000-7f1002800000 rw-p 00000000 00:00 0 ", 8192, 7, 7, 0, 7, 7) PLAIN /* no guard below */
	 V("7f1002800000-7f1002801000 ---p 00000000 00:00 0 ", 4, 0, 0, 0, 0, 0) PLAIN
	 V("7f1002801000-7f1002901000 rw-p 00000000 00:00 0 ", 1024, 6, 6, 0, 6, 6) PLAIN /* guarded, but of another size */
	 V("7f1002901000-7f1003901000 rw-p 00000000 00:00 0 [anon: glibc: pthread stack: 77]", 16384, 9, 9, 0, 9, 9) PLAIN,
	 {0x7f1000700000, 0x7f1001200000}, 8 << 20,
	 "THREAD_STACK 5 7f1000001000 3 34792 209 209 209 \n"
	 "ANON 1 7f1002000000 3 8192 7 7 7 \n"
	 "ANON 1 7f1002801000 3 1024 6 6 6 \n"
	 "ANON 1 7f1001002000 0 16 0 0 0 \n"
	 "ANON 1 7f1001103000 0 16 0 0 0 \n"
	 "ANON 1 7f1000000000 0 4 0 0 0 \n"
	 "ANON 1 7f1000801000 0 4 0 0 0 \n"
	 "ANON 1 7f1002800000 0 4 0 0 0 \n"},
	{"stacks with their guards inside, side by side",
	 V("7f1000000000-7f1001002000 rw-p 00000000 00:00 0 ", 16392, 100, 100, 0, 100, 100) PLAIN
	 V("7f1002000000-7f1002801000 rw-p 00000000 00:00 0 ", 8196, 50, 50, 0, 50, 50) GUARDED
	 V("7f1003000000-7f1003010000 rw-p 00000000 00:00 0 ", 64, 9, 9, 0, 9, 9) GUARDED,
	 {0x7f1000700000, 0x7f1001000000, 0x7f1002700000}, 8 << 20,
	 "THREAD_STACK 2 7f1000000000 3 24588 150 150 150 \n"
	 "ANON 1 7f1003000000 3 64 9 9 9 \n"},
	{"arenas of glibc, and what looks like one",
	 V("7f1000000000-7f1000021000 rw-p 00000000 00:00 0 ", 132, 80, 80, 0, 80, 80) PLAIN
	 V("7f1000021000-7f1004000000 ---p 00000000 00:00 0 ", 65404, 0, 0, 0, 0, 0) PLAIN
	 V("7f1004000000-7f1004100000 rw-p 00000000 00:00 0 ", 1024, 70, 70, 0, 70, 70) PLAIN
	 V("7f1004100000-7f1008000000 ---p 00000000 00:00 0 ", 64512, 0, 0, 0, 0, 0) PLAIN
	 V("7f1010000000-7f1010100000 rw-p 00000000 00:00 0 ", 1024, 60, 60, 0, 60, 60) PLAIN /* its rest ends too early */
	 V("7f1010100000-7f1013000000 ---p 00000000 00:00 0 ", 48128, 0, 0, 0, 0, 0) PLAIN
	 V("7f1014001000-7f1014100000 rw-p 00000000 00:00 0 ", 1020, 50, 50, 0, 50, 50) PLAIN /* not aligned */
	 V("7f1014100000-7f1018000000 ---p 00000000 00:00 0 ", 64512, 0, 0, 0, 0, 0) PLAIN
	 V("7f2014000000-7f2014100000 rw-p 00000000 00:00 0                          [anon: glibc: malloc arena]", 1024, 5, 5, 0, 5, 5) PLAIN,
	 {0}, 8 << 20,
	 "ARENA 3 7f1000000000 3 2180 155 155 155 \n"
	 "ANON 1 7f1010000000 3 1024 60 60 60 \n"
	 "ANON 1 7f1014001000 3 1020 50 50 50 \n"
	 "ANON 1 7f1000021000 0 65404 0 0 0 \n"
	 "ANON 1 7f1004100000 0 64512 0 0 0 \n"
	 "ANON 1 7f1014100000 0 64512 0 0 0 \n"
	 "ANON 1 7f1010100000 0 48128 0 0 0 \n"},
	{"the heap of Go is neither an arena nor a stack",
	 V("c000000000-c000800000 rw-p 00000000 00:00 0 ", 8192, 4000, 4000, 0, 4000, 4000) PLAIN
	 V("c000800000-c004000000 ---p 00000000 00:00 0 ", 57344, 0, 0, 0, 0, 0) PLAIN,
	 {0xc000012345}, 8 << 20,
	 "ANON 1 c000000000 3 8192 4000 4000 4000 \n"
	 "ANON 1 c000800000 0 57344 0 0 0 \n"},
	{"arenas of 32-bit programs; Linux 3.x, which shows less",
	 "f7000000-f7021000 rw-p 00000000 00:00 0 \nSize: 132 kB\nRss: 44 kB\nPss: 44 kB\nPrivate_Dirty: 44 kB\nSwap: 3 kB\n"
	 "f7021000-f7100000 ---p 00000000 00:00 0 \nSize: 892 kB\nRss: 0 kB\nPss: 0 kB\nPrivate_Dirty: 0 kB\nSwap: 0 kB\n"
	 "f7200000-f7221000 rw-p 00000000 00:00 0 [stack:77]\nSize: 132 kB\nRss: 4 kB\nPss: 4 kB\n",
	 {0}, -1,
	 "ARENA 1 f7000000 3 132 44 44 -1 \n"
	 "THREAD_STACK 1 f7200000 3 132 4 -1 -1 \n"
	 "ANON 1 f7021000 0 892 0 0 -1 \n"},
	{"nothing", "", {0}, -1, ""},
	{"lines that are none", "Rss: 5 kB\n\nzzz\n55-44 rw-p 0 0:0 0\nRss: 9 kB\n1000-2000 rw-p 00000000 00:00 0\nRss: x kB\nRss: 4", {0}, -1,
	 "ANON 1 1000 3 4 4 -1 -1 \n"},
};

#endif
