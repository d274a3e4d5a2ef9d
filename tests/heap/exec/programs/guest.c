/* What is executed: says its arguments and what it is to preload. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD");

	printf("%d %s %s [%s] %s\n", argc, argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "", preload ? preload : "-",
	       getenv("KEPT") ? getenv("KEPT") : "-");
	return 7;
}
