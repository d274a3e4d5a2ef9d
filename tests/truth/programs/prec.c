/* Below the batch of the kernel's counters: prec PAGES. On each CPU that it may use, one after the other, it touches
 * PAGES pages of anonymous memory, of shared memory and of a file; less than a batch (32 pages at least) stays in the
 * CPU's own part of the counter, where no approximate figure of the kernel's sees it. */
#include <sched.h>
#include <sys/mman.h>

#include "temporary.h"

static void touch(char *memory, size_t pages, int cpu, int kind)
{
	for (size_t page = 0; page < pages; page++) {
		volatile char *at = memory + ((size_t)cpu * pages + page) * 4096;

		if (kind == 2)
			(void)*at; /* of the file: read, or it would become anonymous */
		else
			*at = 1;
	}
}

int main(int count, char **arguments)
{
	size_t pages = truth_number(arguments[count - 1]), bytes = CPU_SETSIZE * pages * 4096;
	cpu_set_t allowed, one;
	char *memory[3];

	truth_begin(environ);
	memory[0] = truth_map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memory[1] = truth_map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
	memory[2] = truth_map(bytes, MAP_PRIVATE, temporary_file(bytes));
	for (int kind = 0; kind < 3; kind++) /* no huge pages, and no pages that were not asked for */
		if (madvise(memory[kind], bytes, MADV_NOHUGEPAGE) != 0 || madvise(memory[kind], bytes, MADV_RANDOM) != 0)
			madvise(memory[kind], bytes, MADV_RANDOM);
	truth_warm("prec");
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return 88;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		for (int kind = 0; kind < 3; kind++)
			touch(memory[kind], pages, cpu, kind);
	}
	truth_peak_once("prec");
	for (int kind = 0; kind < 3; kind++)
		truth_drop(memory[kind], bytes);
	return 0;
}
