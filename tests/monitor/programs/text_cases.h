/* Kernel texts as they were captured, and as other kernels would give them. */
#ifndef TEXT_CASES_H
#define TEXT_CASES_H

static const char linux_statm[] = "1357 844 396 5 0 171 0\n";
static const char linux_status[] =
	"Name:\tpython3\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\nPPid:\t4242\nTracerPid:\t0\n"
	"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 4 24\nNStgid:\t4711\nVmPeak:\t   20508 kB\n"
	"VmSize:\t   20444 kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t   13504 kB\nVmRSS:\t   13376 kB\n"
	"RssAnon:\t    7040 kB\nRssFile:\t    6272 kB\nRssShmem:\t      64 kB\nVmData:\t    7460 kB\nVmStk:\t     132 kB\n"
	"VmExe:\t    2752 kB\nVmLib:\t    3696 kB\nVmPTE:\t      80 kB\nVmSwap:\t      12 kB\nHugetlbPages:\t    4096 kB\n"
	"CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t3\nSigQ:\t0/95812\nSigPnd:\t0000000000000000\n"
	"SigBlk:\t0000000000000000\nSigIgn:\t0000000001011000\nSigCgt:\t0000000000000002\nSeccomp:\t0\n";
/* before Linux 4.5: only the sum */
static const char old_status[] =
	"Name:\tinit\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\nVmPeak:\t    4000 kB\nVmHWM:\t    1500 kB\n"
	"VmRSS:\t    1400 kB\nVmSwap:\t       0 kB\nThreads:\t1\nSigIgn:\t0000000000000000\n";
/* gVisor: no VmHWM, no VmPeak (pkg/sentry/fsimpl/proc prints few fields) */
static const char gvisor_status[] =
	"Name:\tsh\nState:\tR (running)\nTgid:\t7\nPid:\t7\nPPid:\t1\nTracerPid:\t0\nFDSize:\t64\nVmSize:\t4120 kB\n"
	"VmRSS:\t1804 kB\nVmData:\t260 kB\nThreads:\t1\nCapInh:\t0000000000000000\nSeccomp:\t0\nMems_allowed:\t1\n";
static const char zombie_status[] =
	"Name:\tdefunct one\nState:\tZ (zombie)\nTgid:\t99\nPid:\t99\nPPid:\t98\nThreads:\t1\nSigIgn:\t0000000000000000\n";
static const char kthread_status[] = "Name:\tkthreadd\nState:\tS (sleeping)\nTgid:\t2\nPid:\t2\nPPid:\t0\nThreads:\t1\n";
static const char wsl1_status[] =
	"Name:\tbash\nState:\tS (sleeping)\nTgid:\t5\nPid:\t5\nPPid:\t4\nVmPeak:\t       0 kB\nVmHWM:\t       0 kB\n"
	"VmRSS:\t       0 kB\nThreads:\t1\n";
static const char odd_status[] =
	"Name:\t VmRSS: 1 kB) Z\nState:\tT (stopped)\nTgid:\t3\nPPid:\t2\nVmHWM:\t99999999999999999999 kB\nVmRSS:\tx kB\n"
	"RssAnon:\t-5 kB\nThreads:\nSigIgn:\tzz\n";
static const char linux_stat[] =
	"4711 (python3) S 4242 4711 4711 34816 4711 4194304 1522 77 3 0 12 4 0 0 20 0 3 0 889812 20934656 3344 "
	"18446744073709551615 94104 94105 140721 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0 9 9 9 1 2 3 4 0\n";
static const char odd_stat[] = "12 (a) Z 1 (b) R 11 12 12 -1 -1 4194560 5 6 7 8 9\n";
static const char zombie_stat[] = "99 (defunct one) Z 98 99 99 0 -1 4227084 120 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n";
static const char linux_rollup[] =
	"55a0-7ffd ---p 00000000 00:00 0                          [rollup]\nRss:               13376 kB\n"
	"Pss:                9001 kB\nPss_Dirty:          7040 kB\nPss_Anon:           7000 kB\nPss_File:           1937 kB\n"
	"Pss_Shmem:            64 kB\nShared_Clean:       6000 kB\nShared_Dirty:          0 kB\nPrivate_Clean:       272 kB\n"
	"Private_Dirty:      7104 kB\nReferenced:        13376 kB\nAnonymous:          7040 kB\nKSM:                   0 kB\n"
	"LazyFree:             16 kB\nAnonHugePages:      2048 kB\nShmemPmdMapped:        0 kB\nFilePmdMapped:         0 kB\n"
	"Shared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\nSwap:                 12 kB\nSwapPss:              11 kB\n"
	"Locked:                0 kB\n";
/* Linux 4.14 to 5.3 */
static const char old_rollup[] =
	"55a0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  100 kB\nPss:  40 kB\nShared_Clean: 60 kB\nPrivate_Clean: 4 kB\n"
	"Private_Dirty: 36 kB\nSwap: 0 kB\nSwapPss: 0 kB\n";
static const char linux_loadavg[] = "0.52 0.58 0.59 3/602 29871\n";
static const char gvisor_loadavg[] = "0.00 0.00 0.00 0/0 0\n";
static const char linux_meminfo[] = "MemTotal:       24684092 kB\nMemFree:        1234 kB\nSwapTotal:             0 kB\n";

#endif
