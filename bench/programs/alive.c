/* alive N MIB SECONDS: N processes that hold MIB MiB each, all at once, for so long. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void hold(long mib, unsigned seconds)
{
	char *at = mmap(0, (size_t)mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		_exit(1);
	for (long i = 0; i < mib << 20; i += 4096)
		((volatile char *)at)[i] = 1;
	sleep(seconds);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	for (int i = 0; i < atoi(argv[1]); i++)
		if (fork() == 0)
			hold(atol(argv[2]), (unsigned)atoi(argv[3]));
	while (wait(NULL) > 0)
		;
	return 0;
}
