/* Five million system calls that do next to nothing. */
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	for (int i = 0; i < 5000000; i++)
		syscall(SYS_getppid);
	return 0;
}
