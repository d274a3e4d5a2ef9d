/* The table of live processes: an array of slots that are used again, and a hash from pid to slot. Its size follows
 * the number of processes alive at once, never the number that ever lived. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor.h"

#define BUCKETS 4096

struct proc *procs;
uint32_t procs_slots, procs_alive;

static int32_t bucket[BUCKETS]; /* slot + 1; 0 is empty */
static uint32_t ids, image_ids;

uint32_t next_image_id(void)
{
	return image_ids++;
}

struct proc *proc_find(int32_t pid)
{
	for (int32_t i = bucket[(uint32_t)pid % BUCKETS]; i != 0; i = procs[i - 1].next)
		if (procs[i - 1].pid == pid)
			return &procs[i - 1];
	return NULL;
}

struct proc *proc_by_id(uint32_t id)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && procs[i].id == id)
			return &procs[i];
	return NULL;
}

/* A slot for a process; NULL when there is no memory, in which case the process stays unseen. May move the table:
 * pointers into it do not outlive this call. */
struct proc *proc_add(int32_t pid, int32_t ppid, int64_t now)
{
	uint32_t slot = 0;

	if (procs_alive == procs_slots) {
		uint32_t more = procs_slots ? procs_slots * 2 : 16;
		struct proc *grown = realloc(procs, more * sizeof(*procs));

		if (!grown)
			return NULL;
		memset(grown + procs_slots, 0, (more - procs_slots) * sizeof(*procs));
		slot = procs_slots;
		procs = grown;
		procs_slots = more;
	} else {
		while (procs[slot].in_use)
			slot++;
	}
	struct proc *p = &procs[slot];
	struct proc *parent = proc_find(ppid);
	int32_t *head = &bucket[(uint32_t)pid % BUCKETS];

	*p = (struct proc){.pid = pid, .ppid = ppid, .tid = pid, .id = ids++, .parent = parent ? parent->id : HW_NONE,
			   .t_ns = now, .statm_fd = -1, .status_fd = -1, .in_use = true, .next = *head, .owner = HW_NONE,
			   .uncounted = parent && (parent->ignored_sigchld || parent->uncounted)};
	*head = (int32_t)slot + 1;
	procs_alive++;
	g.stats.processes++;
	if (procs_alive > g.stats.max_alive)
		g.stats.max_alive = procs_alive;
	return p;
}

void proc_remove(struct proc *p)
{
	int32_t *at = &bucket[(uint32_t)p->pid % BUCKETS];

	while (*at != 0 && &procs[*at - 1] != p)
		at = &procs[*at - 1].next;
	if (*at != 0)
		*at = p->next;
	if (p->statm_fd >= 0)
		close(p->statm_fd);
	if (p->status_fd >= 0)
		close(p->status_fd);
	p->in_use = false;
	procs_alive--;
}
