/* The unwinder of the C++ runtime, until there is one of our own. */
#include <dlfcn.h>
#include <stddef.h>
#include <unwind.h>

#include "unwind.h"

static _Unwind_Reason_Code (*walk)(_Unwind_Trace_Fn, void *);
static uintptr_t (*get_ip)(struct _Unwind_Context *);
static uintptr_t (*get_cfa)(struct _Unwind_Context *);

struct walked {
	uintptr_t *addresses, within;
	unsigned max;
	struct hw_unwound found;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct walked *walked = data;
	uintptr_t ip = get_ip(context);

	if (ip == 0 || get_cfa(context) <= walked->within)
		return _URC_NO_REASON;
	if (walked->found.count == walked->max) {
		walked->found.cut = 1;
		return _URC_NORMAL_STOP;
	}
	walked->addresses[walked->found.count++] = ip;
	return _URC_NO_REASON;
}

void unwind_init(void)
{
	void *library = dlopen("libgcc_s.so.1", RTLD_NOW);
	uintptr_t addresses[4];

	if (library == NULL)
		return;
	get_ip = (uintptr_t(*)(struct _Unwind_Context *))dlsym(library, "_Unwind_GetIP");
	get_cfa = (uintptr_t(*)(struct _Unwind_Context *))dlsym(library, "_Unwind_GetCFA");
	walk = (_Unwind_Reason_Code(*)(_Unwind_Trace_Fn, void *))dlsym(library, "_Unwind_Backtrace");
	unwind(addresses, 4, NULL);
}

void unwind_thread(void)
{
}

void unwind_learn(void)
{
}

void unwind_forget(uintptr_t start, uintptr_t end)
{
	(void)start;
	(void)end;
}

struct hw_unwound unwind(uintptr_t *addresses, unsigned max, const void *within)
{
	struct walked walked = {.addresses = addresses, .max = max, .within = (uintptr_t)within};

	if (walk == NULL)
		walked.found.broken = 1;
	else
		walk(step, &walked);
	return walked.found;
}
