/* One image after the other in one process: execs MIB [MIB ...]. Each image takes its MIB, reports, and executes
 * the next; the last one leaves. What an image had when it was replaced is in no VmHWM afterwards.
 *
 * It gives a sliver back before: while execve is under way the kernel counts the arguments of the coming image as
 * anonymous pages of the old one (fs/exec.c, acct_arg_size), which would lift it above the peak that it reported. */
#include <unistd.h>

#include "truth.h"

int main(int count, char **arguments)
{
	char *memory;

	truth_begin(environ);
	memory = truth_take(truth_number(arguments[1]) * TRUTH_MIB);
	truth_peak("execs");
	if (count > 2) {
		truth_drop(memory, TRUTH_ARGUMENTS);
		truth_exec(arguments + 1);
	}
	truth_leave(0);
}
