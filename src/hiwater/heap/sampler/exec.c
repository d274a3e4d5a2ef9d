/* Stands before execve and its relatives.
 *
 * A program of another C library, or of another machine, does not start (or complains) with this library in LD_PRELOAD. So
 * what is to be executed is looked at; where need be the new program's environment lacks our entry in LD_PRELOAD, those
 * of others stay. The caller's environment is not touched, and nothing is allocated: between vfork and execve there may
 * be two processes in one memory. Whatever cannot be judged is executed as the caller said.
 *
 * The C library's functions call each other by names that cannot be interposed: each is interposed here. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec.h"
#include "internal.h"

#define MAX_ENTRIES 16384 /* 128 KiB of the caller's stack; a larger environment is passed on as it is */
#define MAX_PRELOAD 32768

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
			   char *const[]);
static int (*real_execve)(const char *, char *const[], char *const[]);
static int (*real_execvpe)(const char *, char *const[], char *const[]);
static int (*real_fexecve)(int, char *const[], char *const[]);
static int (*real_execveat)(int, const char *, char *const[], char *const[], int);
static spawn_function *real_spawn, *real_spawnp;
static char own_name[256]; /* the file name of this library */

__attribute__((constructor)) static void resolve(void)
{
	Dl_info info;

	real_execvpe = (int (*)(const char *, char *const[], char *const[]))dlsym(RTLD_NEXT, "execvpe");
	real_fexecve = (int (*)(int, char *const[], char *const[]))dlsym(RTLD_NEXT, "fexecve");
	real_execveat = (int (*)(int, const char *, char *const[], char *const[], int))dlsym(RTLD_NEXT, "execveat");
	real_spawn = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawn");
	real_spawnp = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawnp");
	if (dladdr((void *)(uintptr_t)resolve, &info) != 0 && info.dli_fname != NULL) {
		const char *slash = strrchr(info.dli_fname, '/'), *name = slash != NULL ? slash + 1 : info.dli_fname;

		if (strlen(name) < sizeof(own_name))
			memcpy(own_name, name, strlen(name) + 1);
	}
	real_execve = (int (*)(const char *, char *const[], char *const[]))dlsym(RTLD_NEXT, "execve");
}

enum call { EXECVE, EXECVPE, FEXECVE, EXECVEAT, SPAWN, SPAWNP };

struct request {
	enum call call;
	const char *file; /* NULL: fd alone */
	int fd;
	int flags;
	char *const *arguments, *const *environment;
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
};

static int perform(const struct request *r, char *const environment[])
{
	switch (r->call) {
	case EXECVE: return real_execve(r->file, r->arguments, environment);
	case EXECVPE: return real_execvpe(r->file, r->arguments, environment);
	case FEXECVE: return real_fexecve(r->fd, r->arguments, environment);
	case EXECVEAT:
		if (real_execveat != NULL) /* glibc 2.34 */
			return real_execveat(r->fd, r->file, r->arguments, environment, r->flags);
		return (int)syscall(SYS_execveat, r->fd, r->file, r->arguments, environment, r->flags);
	case SPAWN: return real_spawn(r->pid, r->file, r->actions, r->attributes, r->arguments, environment);
	default: return real_spawnp(r->pid, r->file, r->actions, r->attributes, r->arguments, environment);
	}
}

/* The file that execvpe will take: the first in PATH that may be executed. The caller's PATH counts. */
static enum elf_verdict look_along_path(const char *file, char *found, size_t room)
{
	const char *at = getenv("PATH");
	size_t file_len = strlen(file);

	if (at == NULL)
		at = "/bin:/usr/bin"; /* confstr(_CS_PATH), which may allocate */
	for (;;) {
		size_t len = strcspn(at, ":");

		if (len + file_len + 2 <= room) {
			size_t end = 0;

			memcpy(found, at, len);
			end = len;
			if (len > 0)
				found[end++] = '/';
			memcpy(found + end, file, file_len + 1);
			if (syscall(SYS_faccessat, AT_FDCWD, found, X_OK) == 0)
				return exec_look(AT_FDCWD, found);
		}
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	*found = '\0';
	return ELF_FOLLOWED;
}

static void tell(enum elf_verdict verdict, const char *path)
{
	struct hw_heap_not_followed record = {.t_ns = now_ns(), .pid = (uint32_t)syscall(SYS_getpid)};

	if (!sampling_on || !out_is_on() || !enter())
		return;
	record.path_len = (uint16_t)strnlen(path, PATH_MAX);
	sample_record(HW_HEAP_NOT_FOLLOWED, (uint16_t)verdict, &record, sizeof(record), path, record.path_len, NULL, 0);
	leave();
}

static bool is_preload(const char *entry)
{
	return strncmp(entry, "LD_PRELOAD=", 11) == 0;
}

/* The request with another environment. It lives on the stack, so it ends with this function. */
static __attribute__((noinline)) int perform_without(const struct request *r, size_t entries, size_t text)
{
	char *environment[entries + 1], room[text + 1];
	size_t kept = 0, used = 0;

	for (size_t i = 0; i < entries; i++) {
		char *entry = r->environment[i];
		bool changed;
		size_t len;

		if (!is_preload(entry)) {
			environment[kept++] = entry;
			continue;
		}
		len = preload_without(entry + 11, own_name, room + used + 11, text + 1 - used - 11, &changed);
		if (!changed || len == (size_t)-1) {
			environment[kept++] = entry;
		} else if (len > 0) {
			memcpy(room + used, "LD_PRELOAD=", 11);
			environment[kept++] = room + used;
			used += 11 + len + 1;
		}
	}
	environment[kept] = NULL;
	return perform(r, environment);
}

static int guarded(const struct request *r)
{
	size_t entries = 0, text = 0;
	int saved = errno, result;
	bool search = (r->call == EXECVPE || r->call == SPAWNP) && r->file != NULL && strchr(r->file, '/') == NULL;
	bool replaces = r->call != SPAWN && r->call != SPAWNP;
	enum elf_verdict verdict = ELF_FOLLOWED;
	char found[PATH_MAX + 1];
	const char *path = r->file != NULL ? r->file : "";

	if (real_execve == NULL)
		resolve();
	for (; r->environment != NULL && r->environment[entries] != NULL && entries <= MAX_ENTRIES; entries++)
		if (is_preload(r->environment[entries]))
			text += strlen(r->environment[entries]) + 1;
	/* A program that it is not passed on to has nothing to fear. */
	if (text > 0 && text <= MAX_PRELOAD && entries <= MAX_ENTRIES && own_name[0] != '\0') {
		if (search) {
			verdict = look_along_path(r->file, found, sizeof(found));
			path = found;
		} else if (r->call == FEXECVE || (r->call == EXECVEAT && r->flags & AT_EMPTY_PATH && path[0] == '\0')) {
			verdict = exec_look_fd(r->fd);
		} else if (path[0] != '\0') {
			verdict = exec_look(r->call == EXECVEAT ? r->fd : AT_FDCWD, path);
		}
		if (verdict != ELF_FOLLOWED)
			tell(verdict, path);
	}
	if (replaces)
		process_end(false);
	errno = saved;
	if (verdict == ELF_OTHER_LIBC || verdict == ELF_OTHER_MACHINE)
		result = perform_without(r, entries, text);
	else
		result = perform(r, r->environment);
	if (replaces) { /* it failed */
		saved = errno;
		process_goes_on();
		errno = saved;
	}
	return result;
}

EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
	return guarded(&(struct request){.call = EXECVE, .file = path, .arguments = arguments, .environment = environment});
}

EXPORT int execv(const char *path, char *const arguments[])
{
	return execve(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
	return guarded(&(struct request){.call = EXECVPE, .file = file, .arguments = arguments, .environment = environment});
}

EXPORT int execvp(const char *file, char *const arguments[])
{
	return execvpe(file, arguments, environ);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
	return guarded(&(struct request){.call = FEXECVE, .fd = fd, .arguments = arguments, .environment = environment});
}

EXPORT int execveat(int fd, const char *path, char *const arguments[], char *const environment[], int flags)
{
	return guarded(&(struct request){
		.call = EXECVEAT, .fd = fd, .file = path, .flags = flags, .arguments = arguments, .environment = environment});
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	return guarded(&(struct request){.call = SPAWN, .pid = pid, .file = path, .actions = actions,
					 .attributes = attributes, .arguments = arguments, .environment = environment});
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	return guarded(&(struct request){.call = SPAWNP, .pid = pid, .file = file, .actions = actions,
					 .attributes = attributes, .arguments = arguments, .environment = environment});
}

/* --- lists of arguments --- */

/* How many there are up to the NULL, which counts. */
static size_t count_arguments(const char *first, va_list list)
{
	size_t count = 1;

	for (; first != NULL; count++)
		first = va_arg(list, const char *);
	return count;
}

#define COLLECT(arguments, first, list)                                       \
	do {                                                                  \
		arguments[0] = (char *)(uintptr_t)first;                      \
		for (size_t i_ = 0; arguments[i_] != NULL; i_++)              \
			arguments[i_ + 1] = va_arg(list, char *);             \
	} while (0)

EXPORT int execl(const char *path, const char *first, ...)
{
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(first, list);
	va_end(list);
	{
		char *arguments[count];

		va_start(list, first);
		COLLECT(arguments, first, list);
		va_end(list);
		return execve(path, arguments, environ);
	}
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(first, list);
	va_end(list);
	{
		char *arguments[count];

		va_start(list, first);
		COLLECT(arguments, first, list);
		va_end(list);
		return execvpe(file, arguments, environ);
	}
}

EXPORT int execle(const char *path, const char *first, ...)
{
	va_list list;
	size_t count;

	va_start(list, first);
	count = count_arguments(first, list);
	va_end(list);
	{
		char *arguments[count];
		char *const *environment;

		va_start(list, first);
		COLLECT(arguments, first, list);
		environment = va_arg(list, char *const *);
		va_end(list);
		return execve(path, arguments, environment);
	}
}
