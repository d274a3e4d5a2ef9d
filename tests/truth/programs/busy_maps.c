/* Forks that share memory while their maps are changed all the time: busy_maps MIB CHILDREN MILLISECONDS. Each child
 * rewrites a quarter of what it shares, and once all is counted, a thread of it takes and gives back a mapping without
 * touching it, over and over: whoever walks the child's memory has to hand over the map between two mappings. */
#include <pthread.h>

#include "family.h"

enum { PIECES = 4 };

static _Atomic int *counted;
static int ready[2];

static void *change_maps(void *unused)
{
	truth_drop(truth_map(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1), 4096);
	truth_call(SYS_WRITE, ready[1], (long)"", 1, 0, 0, 0);
	while (atomic_load(counted) == 0)
		truth_sleep(1);
	for (;;)
		truth_drop(truth_map(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1), 4096);
	return unused;
}

/* Pieces with nothing between them, each a mapping of its own; `value`: what is written to a part of each. */
static void touch_pieces(char *memory, size_t piece, size_t part, int value)
{
	for (size_t at = 0; at < PIECES; at++)
		truth_touch(memory + 2 * at * piece, part, value);
}

int main(int count, char **arguments)
{
	size_t piece = truth_number(arguments[count - 3]) * TRUTH_MIB / PIECES;
	int children = (int)truth_number(arguments[count - 2]);
	pthread_t thread;
	char *memory;

	truth_begin(environ);
	family_begin();
	counted = (_Atomic int *)truth_map(4096, MAP_SHARED | MAP_ANONYMOUS, -1);
	atomic_store(counted, 0);
	memory = truth_map(2 * PIECES * piece, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (size_t at = 0; at < PIECES; at++)
		truth_drop(memory + (2 * at + 1) * piece, piece);
	touch_pieces(memory, piece, piece, 1);
	for (int child = 0; child < children; child++)
		if (family_fork() == 0) {
			touch_pieces(memory, piece, piece / 4, 2 + child);
			if (pipe(ready) != 0 || pthread_create(&thread, NULL, change_maps, NULL) != 0)
				return 2;
			truth_read_byte(ready[0]);
			family_stay("busy_child", memory, piece);
		}
	family_hear(children);
	family_settled("busy_maps");
	atomic_store(counted, 1);
	truth_linger(1);
	truth_sleep((long)truth_number(arguments[count - 1]));
	family_release();
	family_bury();
	return 0;
}
