/* Five thousand threads, one after another. */
#include <pthread.h>
#include <stddef.h>

static void *nothing(void *unused)
{
	return unused;
}

int main(void)
{
	for (int i = 0; i < 5000; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
			return 1;
	}
	return 0;
}
