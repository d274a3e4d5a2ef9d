/* A program without any library: bare [MIB]. Its image is a few pages; MIB of memory come on top.
 * The same source makes the smallest program that there is, and a 32-bit one on a machine without 32-bit libraries. */
#include "truth.h"

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall bare_start\n");
#elif defined(__i386__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n"
	"\tpush %eax\n\tcall bare_start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tb bare_start\n");
#elif defined(__arm__)
__asm__(".globl _start\n_start:\n\tmov r0, sp\n\tbic sp, sp, #7\n\tb bare_start\n");
#endif

void bare_start(long *stack);

void bare_start(long *stack)
{
	long count = stack[0];
	char **arguments = (char **)(stack + 1);
	size_t bytes = count > 1 ? truth_number(arguments[1]) * TRUTH_MIB : 0;

	truth_begin(arguments + count + 1);
	if (bytes > 0)
		truth_take(bytes);
	truth_peak("bare");
	truth_leave(0);
}
