/* The first thread ends, another one goes on and grows: leader_exits MIB. From then on /proc/PID/statm of the
 * process reads as that of a zombie, while it has MIB of memory. */
#include <pthread.h>
#include <unistd.h>

#include "truth.h"

static pthread_t leader;
static size_t bytes;

static void *outlive(void *unused)
{
	(void)unused;
	pthread_join(leader, NULL);
	truth_take(bytes);
	truth_peak("leader_exits");
	truth_sleep(20);
	truth_leave(0);
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t other;

	truth_begin(environ);
	bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	leader = pthread_self();
	if (pthread_create(&other, NULL, outlive, NULL) != 0)
		return 2;
	pthread_exit(NULL);
}
