/* precision: how much the kernel's counters can hide, here and now.
 *
 * Since Linux 6.2 each CPU keeps its share of a process's counters back until it reaches a batch of
 * max(32, 2 * CPUs) pages (lib/percpu_counter.c). Touching one page less than the batch of each of the three kinds on
 * every CPU hides as much as can be hidden; a walk over the page tables tells the truth beside it. */
#define _GNU_SOURCE
#include "probe.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define MOST_BYTES (64u << 20) /* on machines with many CPUs: use as many of them as this allows */

static void report_stage(const char *stage)
{
	struct figures self = figures_of(getpid());
	struct {
		const char *name;
		int64_t bytes;
	} values[] = {
		{"statm", self.statm}, {"stat", self.stat}, {"status_rss", self.rss},
		{"hwm", self.hwm},     {"walk", walk_own_pages()},
	};
	char key[64];

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(key, sizeof key, "%s_%s_bytes", stage, values[i].name);
		report_size(key, values[i].bytes);
	}
}

/* Touches `pages` of each area on each of the first `wanted` CPUs that this process may use. */
static int touch_on_cpus(char *areas[3], size_t pages, size_t page, int wanted)
{
	static cpu_set_t mine, one;
	int used = 0;

	if (sched_getaffinity(0, sizeof mine, &mine) != 0)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && used < wanted; cpu++) {
		if (!CPU_ISSET(cpu, &mine))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof one, &one) != 0)
			continue;
		for (int kind = 0; kind < 3; kind++)
			touch(areas[kind] + (size_t)used * pages * page, pages * page);
		used++;
	}
	return used;
}

int precision(int argc, char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t batch = cpus > 16 ? 2 * (size_t)cpus : 32;
	size_t wanted = MOST_BYTES / (3 * batch * page);
	size_t bytes;
	char *areas[3];
	int used;

	if (argc != 1)
		misuse("precision takes no argument such as '%s'", argv[1]);
	if (wanted > (size_t)cpus)
		wanted = (size_t)cpus;
	if (wanted == 0)
		wanted = 1;
	bytes = wanted * (batch - 1) * page;
	for (int kind = 0; kind < 3; kind++)
		areas[kind] = reserve((enum kind)kind, bytes);
	report_number("cpus", cpus);
	report_number("page_bytes", (int64_t)page);
	walk_own_pages(); /* its buffer is touched now, not between two stages */
	report_stage("before");
	used = touch_on_cpus(areas, batch - 1, page, (int)wanted);
	report_number("cpus_used", used);
	report_number("touched_bytes", (int64_t)(3 * (size_t)used * (batch - 1) * page));
	report_stage("after");
	for (int kind = 0; kind < 3; kind++)
		give_back(areas[kind], bytes);
	report_stage("freed");
	return 0;
}
