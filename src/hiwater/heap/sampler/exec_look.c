/* Reads what elf.c judges. By system calls: the functions of these names may be somebody's (and cancellation points). */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec.h"

#define MAX_SCRIPTS 6    /* Linux follows 5 (fs/exec.c, exec_binprm) */
#define FIRST_BYTES 256  /* BINPRM_BUF_SIZE, Linux 5.1 */
#define MAX_HEADERS 4096 /* one page of them, which is all that fs/binfmt_elf.c reads as well */

static size_t read_at(int fd, void *to, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static bool is_privileged(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return false;
	return (status.st_mode & S_ISUID && status.st_uid != getuid()) ||
	       ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getgid());
}

/* `script` receives the interpreter's path where there is one. */
static enum elf_verdict look(int fd, char *script, size_t room)
{
	unsigned char first[FIRST_BYTES], headers[MAX_HEADERS];
	char linker[FIRST_BYTES];
	enum elf_verdict verdict;
	struct elf_shape shape;
	struct elf_bytes where;
	size_t len = read_at(fd, first, sizeof(first), 0);

	*script = '\0';
	if (script_interpreter((const char *)first, len, script, room) > 0)
		return ELF_FOLLOWED;
	if (!elf_shape(first, len, &shape, &verdict))
		return verdict;
	len = shape.count * sizeof(ElfW(Phdr));
	if (len > sizeof(headers) || read_at(fd, headers, len, shape.headers) != len)
		return ELF_FOLLOWED;
	if (!elf_linker(headers, len, &where))
		return ELF_STATIC;
	if (where.len > sizeof(linker) || read_at(fd, linker, (size_t)where.len, where.offset) != where.len)
		return ELF_FOLLOWED;
	verdict = elf_judge(linker, (size_t)where.len);
	return verdict == ELF_FOLLOWED && is_privileged(fd) ? ELF_PRIVILEGED : verdict;
}

static enum elf_verdict follow(int fd, bool owned)
{
	char script[FIRST_BYTES];
	enum elf_verdict verdict = ELF_FOLLOWED;

	for (int depth = 0; fd >= 0 && depth < MAX_SCRIPTS; depth++) {
		verdict = look(fd, script, sizeof(script));
		if (owned)
			syscall(SYS_close, fd);
		owned = true;
		fd = -1;
		if (script[0] != '\0') /* one that is not absolute is looked for from the present folder: the kernel's rule */
			fd = (int)syscall(SYS_openat, AT_FDCWD, script, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	if (fd >= 0)
		syscall(SYS_close, fd);
	return verdict;
}

enum elf_verdict exec_look(int at, const char *path)
{
	struct stat status;
	int fd = (int)syscall(SYS_openat, at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return ELF_FOLLOWED; /* not there, or not to be read: execve says what is the matter */
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		syscall(SYS_close, fd);
		return ELF_FOLLOWED;
	}
	return follow(fd, true);
}

enum elf_verdict exec_look_fd(int fd)
{
	char path[32] = "/proc/self/fd/", digits[12];
	int at = 14, n = 0;
	unsigned char byte;

	if (fd < 0)
		return ELF_FOLLOWED;
	if (read_at(fd, &byte, 1, 0) == 1)
		return follow(fd, false);
	do /* opened with O_PATH, it cannot be read itself */
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	while (n > 0)
		path[at++] = digits[--n];
	path[at] = '\0';
	return exec_look(AT_FDCWD, path);
}
