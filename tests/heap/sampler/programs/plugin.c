/* Code that is loaded and unloaded. */
#include <stdlib.h>

void *make_there(size_t bytes)
{
	void *block = malloc(bytes);

	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}
