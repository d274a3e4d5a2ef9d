/* A server that gives up its user or its root can open its file no more: before it does, the file is made ready to be
 * written without being opened (out_foresee). */
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

#include "internal.h"

static void foresee(void)
{
	int saved = errno;

	process_check();
	if (sampling_on && enter()) {
		if (lock_take()) {
			out_foresee();
			lock_give();
		}
		leave();
	}
	errno = saved;
}

/* The next function of that name does what the caller wants. */
#define BEFORE(name, parameters, arguments)                                                    \
	EXPORT int name parameters                                                             \
	{                                                                                      \
		int(*next) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);            \
                                                                                               \
		if (next == NULL) {                                                            \
			errno = ENOSYS;                                                        \
			return -1;                                                             \
		}                                                                              \
		foresee();                                                                     \
		return next arguments;                                                         \
	}

int setuid(uid_t);
int seteuid(uid_t);
int setreuid(uid_t, uid_t);
int setresuid(uid_t, uid_t, uid_t);
int chroot(const char *);

BEFORE(setuid, (uid_t user), (user))
BEFORE(seteuid, (uid_t user), (user))
BEFORE(setreuid, (uid_t real_user, uid_t user), (real_user, user))
BEFORE(setresuid, (uid_t real_user, uid_t user, uid_t saved_user), (real_user, user, saved_user))
BEFORE(chroot, (const char *folder), (folder))
