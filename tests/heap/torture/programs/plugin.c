/* Code that comes and goes. */
#include <stdlib.h>

void *allocate(size_t size);
__attribute__((noinline)) void *allocate(size_t size)
{
	void *block = malloc(size);

	if (block != NULL)
		*(volatile char *)block = 1;
	return block;
}
