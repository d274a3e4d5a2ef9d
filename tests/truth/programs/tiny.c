/* The smallest program that a compiler makes of ordinary C: dynamic, glibc. It leaves at its peak. */
#include <unistd.h>

#include "truth.h"

int main(void)
{
	truth_begin(environ);
	truth_take(256 * 1024); /* more than the loader had mapped and gave back before main */
	truth_peak("tiny");
	truth_leave(0);
}
