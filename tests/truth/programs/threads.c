/* Many threads, one memory: threads COUNT MIB. Each thread takes MIB; all meet at the peak. */
#include <pthread.h>
#include <unistd.h>

#include "truth.h"

enum { THREADS_MAX = 64 };

static size_t bytes;
static int ready[2];
static int go[2];

static void *grow(void *unused)
{
	char *memory = truth_take(bytes);

	(void)unused;
	truth_call(SYS_WRITE, ready[1], (long)"", 1, 0, 0, 0);
	truth_read_byte(go[0]);
	truth_drop(memory, bytes);
	return NULL;
}

int main(int count, char **arguments)
{
	size_t threads = truth_number(arguments[count - 2]);
	pthread_t ids[THREADS_MAX];

	truth_begin(environ);
	bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	if (threads > THREADS_MAX || pipe(ready) != 0 || pipe(go) != 0)
		return 2;
	for (size_t thread = 0; thread < threads; thread++)
		if (pthread_create(&ids[thread], NULL, grow, NULL) != 0)
			return 2;
	for (size_t thread = 0; thread < threads; thread++)
		truth_read_byte(ready[0]);
	truth_peak("threads");
	truth_close(go[1]);
	for (size_t thread = 0; thread < threads; thread++)
		pthread_join(ids[thread], NULL);
	return 0;
}
