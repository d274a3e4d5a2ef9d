/* Maps, touches and unmaps 1 MiB, 2,500 times, beside 256 MiB that stay: each change of the map needs its lock. */
#include <sys/mman.h>

enum { PAGE = 4096, PIECE = 1 << 20, KEPT = 256 << 20 };

static char *touched(long size)
{
	char *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return 0;
	for (long i = 0; i < size; i += PAGE)
		((volatile char *)at)[i] = 1;
	return at;
}

int main(void)
{
	if (!touched(KEPT))
		return 1;
	for (int i = 0; i < 2500; i++) {
		char *piece = touched(PIECE);

		if (!piece || munmap(piece, PIECE) != 0)
			return 1;
	}
	return 0;
}
