/* --faults: who touches memory first. Each Nth page fault is an event with registers and stack (rings.c); this file
 * follows which image it belongs to and what is mapped there (spaces.c), has its calls worked out at once (unwind.c), and
 * writes them: a stack once, and 40 bytes for each sample.
 *
 * Faults are counted by a context of its own for each thread and CPU, so the first N - 1 of each are never a sample. N is
 * prime: programs touch memory in steps that are powers of two, and a period that is one would always meet the same
 * place of a loop. */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define BATCH 256
#define FOLLOWED_SLOTS 1024
#define STACKS_MAX (1U << 20)
#define FRAMES_BYTES_MAX (UINT64_C(64) << 20)
#define REREAD_NS (20 * NS_PER_MS)

struct followed {
	int32_t pid;
	uint32_t number; /* of HW_FAULT_IMAGE */
	int32_t threads;
	bool told, execed, in_doubt;
	int64_t t_ns, read_ns;
	char name[16];
	size_t name_len;
	struct space space;
	struct followed *next;
};

struct kept_stack {
	struct kept_stack *next;
	uint64_t hash;
	uint32_t number, count;
	uint16_t flags;
	struct hw_fault_frame frames[];
};

static struct rings_faults wish;
static unsigned registers;
static struct followed *followed[FOLLOWED_SLOTS];
static uint32_t images;
static struct kept_stack **stacks;
static uint32_t stack_slots, stack_count;
static uint64_t frames_bytes;
static struct hw_fault batch[BATCH];
static size_t gathered;
static struct hw_fault_totals totals;

/* ---- opening ---- */

static bool is_prime(int64_t n)
{
	for (int64_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

const char *faults_attach(pid_t pid)
{
	int64_t period = g.faults_bytes / g.page_size;
	const char *why;

	while (period > 1 && !is_prime(period))
		period--;
	wish.period = (uint64_t)(period > 0 ? period : 1);
	wish.registers = unwind_registers(&registers);
	why = rings_open(pid, &wish);
	g.faults = why == NULL;
	totals.period = (int64_t)wish.period;
	totals.stack_bytes = wish.stack_bytes;
	return why;
}

/* ---- who ---- */

static struct followed **slot(int32_t pid)
{
	struct followed **at = &followed[(uint32_t)pid % FOLLOWED_SLOTS];

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	return at;
}

static void forget(int32_t pid)
{
	struct followed **at = slot(pid), *gone = *at;

	if (!gone)
		return;
	*at = gone->next;
	space_clear(&gone->space);
	free(gone);
}

static struct followed *follow(int32_t pid, int64_t t_ns)
{
	struct followed **at = slot(pid), *new = *at;

	if (new)
		return new;
	new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	*new = (struct followed){.pid = pid, .number = images++, .threads = 1, .t_ns = t_ns};
	*at = new;
	return new;
}

static void on_fork(const struct event *e)
{
	struct followed *parent = follow(e->ppid, e->t_ns), *child;

	if (e->pid == e->ppid) {
		if (parent)
			parent->threads++;
		return;
	}
	forget(e->pid);
	child = follow(e->pid, e->t_ns);
	if (!child || !parent)
		return;
	space_copy(&child->space, &parent->space);
	memcpy(child->name, parent->name, sizeof(child->name));
	child->name_len = parent->name_len;
}

static void on_exec(const struct event *e)
{
	struct followed *f = follow(e->pid, e->t_ns);

	if (!f)
		return;
	space_clear(&f->space);
	if (f->told)
		f->number = images++;
	f->told = f->in_doubt = false;
	f->execed = true;
	f->threads = 1;
	f->t_ns = e->t_ns;
	memcpy(f->name, e->name, sizeof(f->name));
	f->name_len = e->name_len;
}

static void tell_image(struct followed *f)
{
	struct hw_fault_image image = {.t_ns = f->t_ns, .number = f->number, .pid = f->pid, .comm_len = (uint32_t)f->name_len};

	if (!f->told)
		stream_record(HW_FAULT_IMAGE, f->execed, &image, sizeof(image), f->name, f->name_len, 0, NULL);
	f->told = true;
}

static void tell_object(struct object *o)
{
	size_t len = strlen(o->path);
	struct hw_fault_module module = {o->id, (uint16_t)o->build_id_len, (uint16_t)len};

	if (!o->told)
		stream_record(HW_FAULT_MODULE, 0, &module, sizeof(module), o->build_id, o->build_id_len, len, o->path);
	o->told = true;
}

/* ---- stacks, each written once ---- */

static void make_room(void)
{
	uint32_t more = stack_slots ? stack_slots * 4 : 1024;
	struct kept_stack **grown;

	if (stack_count < stack_slots || !(grown = calloc(more, sizeof(*grown))))
		return;
	for (uint32_t i = 0; i < stack_slots; i++) {
		for (struct kept_stack *s = stacks[i], *next; s; s = next) {
			next = s->next;
			s->next = grown[s->hash % more];
			grown[s->hash % more] = s;
		}
	}
	free(stacks);
	stacks = grown;
	stack_slots = more;
}

static uint32_t keep(const struct calls *c)
{
	size_t len = c->count * sizeof(c->frames[0]);
	uint64_t hash = c->flags + UINT64_C(0xcbf29ce484222325);
	struct kept_stack *s;

	for (unsigned i = 0; i < c->count; i++) {
		hash = (hash ^ c->frames[i].address) * UINT64_C(0x9e3779b97f4a7c15);
		hash = (hash ^ hash >> 29 ^ c->frames[i].module) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	make_room();
	if (stack_slots == 0)
		return HW_NONE;
	for (s = stacks[hash % stack_slots]; s; s = s->next)
		if (s->hash == hash && s->flags == c->flags && s->count == c->count && memcmp(s->frames, c->frames, len) == 0)
			return s->number;
	if (stack_count == STACKS_MAX || frames_bytes + len > FRAMES_BYTES_MAX || !(s = malloc(sizeof(*s) + len)))
		return HW_NONE;
	*s = (struct kept_stack){stacks[hash % stack_slots], hash, stack_count++, c->count, c->flags};
	memcpy(s->frames, c->frames, len);
	stacks[hash % stack_slots] = s;
	frames_bytes += len;

	struct hw_fault_stack head = {s->number, s->count};

	for (unsigned i = 0; i < c->count; i++)
		if (c->frames[i].module != HW_NONE)
			tell_object(object_at(c->frames[i].module));
	stream_record(HW_FAULT_STACK, c->flags, &head, sizeof(head), c->frames, len, 0, NULL);
	return s->number;
}

/* ---- samples ---- */

static void samples_of_faults_out(void)
{
	if (gathered > 0)
		stream_event(HW_FAULTS, 0, batch, gathered * sizeof(*batch));
	gathered = 0;
}

/* What lies at the address. The main thread's stack is no mapping that anybody tells of. */
static uint16_t look_up(const struct followed *f, uint64_t address, uint64_t stack_pointer, uint32_t *module)
{
	enum { ABOVE = 16 << 20, BELOW = 1 << 20 };
	const struct mapping *m = space_find(&f->space, address);

	*module = HW_NONE;
	if (m && m->object != HW_NONE) {
		*module = m->object;
		tell_object(object_at(m->object));
	}
	if (m)
		return m->kind;
	return stack_pointer && address + BELOW >= stack_pointer && address < stack_pointer + ABOVE ? HW_FAULT_STACK_MEMORY : 0;
}

static void reread(struct followed *f, int64_t t_ns)
{
	f->in_doubt = false;
	f->read_ns = t_ns;
	space_read(&f->space, f->pid);
}

static void on_fault(const struct event *e)
{
	static struct calls calls;
	struct followed *f = follow(e->pid, e->t_ns);
	struct fault fault;

	if (!f || !parse_fault(e->record, e->record_len, registers, &fault))
		return;
	if (f->in_doubt)
		reread(f, e->t_ns);
	unwind_stack(&f->space, f->pid, &fault, &calls);
	if (calls.flags & HW_FAULT_STACK_BROKEN && e->t_ns - f->read_ns > REREAD_NS) {
		reread(f, e->t_ns); /* something was mapped that nobody told of */
		unwind_stack(&f->space, f->pid, &fault, &calls);
	}
	tell_image(f);

	struct hw_fault *row = &batch[gathered];

	*row = (struct hw_fault){.t_ns = e->t_ns, .address = fault.address, .image = f->number, .tid = e->tid,
				 .flags = fault.kernel ? HW_FAULT_BY_KERNEL : 0};
	row->kind = look_up(f, fault.address, unwind_stack_pointer(&fault), &row->module);
	row->stack = calls.count > 0 ? keep(&calls) : HW_NONE;
	totals.samples++;
	totals.unkept += calls.count > 0 && row->stack == HW_NONE;
	if (++gathered == BATCH)
		samples_of_faults_out();
}

static void on_mapping(const struct event *e)
{
	struct followed *f = follow(e->pid, e->t_ns);
	struct mapped m;

	if (f && parse_mapping(e->record, e->record_len, &m))
		space_map(&f->space, &m);
}

static void lose(int64_t count)
{
	if (count == 0)
		return;
	totals.lost += count;
	for (size_t i = 0; i < FOLLOWED_SLOTS; i++)
		for (struct followed *f = followed[i]; f; f = f->next)
			f->in_doubt = true;
}

static void take(const struct event *e)
{
	struct followed *f;

	switch (e->kind) {
	case EVENT_FAULT:
		on_fault(e);
		break;
	case EVENT_MAP:
		on_mapping(e);
		break;
	case EVENT_FORK:
		on_fork(e);
		break;
	case EVENT_EXEC:
		on_exec(e);
		break;
	case EVENT_EXIT:
		f = *slot(e->pid);
		if (f && --f->threads <= 0)
			forget(e->pid);
		break;
	case EVENT_LOST:
		lose(e->lost);
		break;
	default:
		break;
	}
}

/* Takes all events that are stamped earlier than this call. */
void faults_drain(void)
{
	struct event e;
	int64_t begin, horizon;

	if (!g.faults)
		return;
	begin = cpu_ns();
	horizon = monotonic_ns();
	lose(rings_begin());
	for (uint32_t n = 1; rings_next(horizon, &e); n++) {
		e.t_ns = since_start(e.t_ns);
		take(&e);
		if (n % 16 == 0)
			rings_end();
	}
	rings_end();
	g.exact_ns += cpu_ns() - begin;
}

void faults_flush(int64_t now)
{
	if (!g.faults)
		return;
	samples_of_faults_out();
	totals.t_ns = now;
	totals.faults = rings_count();
	totals.cpu_ns = g.exact_ns;
	stream_event(HW_FAULT_TOTALS, (uint16_t)((wish.kernel ? HW_FAULT_KERNEL_SEEN : 0) | (registers ? 0 : HW_FAULT_CHAINS)),
		     &totals, sizeof(totals));
}

/* All is over: what was lost so late that no record tells of it. */
void faults_finish(void)
{
	if (g.faults)
		lose(rings_lost_silently());
}
