/* Program images: what was seen of each, its names, its beginning and its end in the stream. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor.h"

uint32_t in_pages(int64_t bytes)
{
	return bytes < 0 ? HW_NO_PAGES : (uint32_t)(bytes / g.page_size);
}

/* Takes a reading into the image's maxima, and writes a row if it differs from the last one. */
static void image_take(struct proc *p, int64_t now, const struct hw_rss *rss, int64_t hwm)
{
	struct image *im = &p->image;

	im->last = *rss;
	im->samples++;
	if (rss->rss_bytes > im->max_rss) {
		im->max_rss = rss->rss_bytes;
		im->at_max = *rss;
		im->at_max_ns = now;
	}
	/* VmHWM is read from counters that are only nearly right, and can fall: keep our own maximum. */
	if (hwm > im->hwm)
		im->hwm = hwm;
	if (rss->rss_bytes > im->hwm)
		im->hwm = rss->rss_bytes;

	const uint32_t row[IMAGE_PAGES] = {in_pages(rss->rss_bytes), in_pages(rss->anon_bytes), in_pages(rss->shmem_bytes),
					   in_pages(im->swap), in_pages(im->hwm), in_pages(im->pte), in_pages(im->hugetlb)};
	exact_looked(im, now, rss, im->swap);
	if (!exact_rows(im) && sample_worth(row, im->written, IMAGE_PAGES)) {
		memcpy(im->written, row, sizeof(row));
		sample_image(now, im->id, row);
	}
}

/* What is beside the resident set: the kernel keeps no high-water marks of it. */
static void beside(int64_t read, int64_t *last, int64_t *largest)
{
	if (read < 0)
		return;
	*last = read;
	if (read > *largest)
		*largest = read;
}

/* Nobody waits for the children of a process that ignores SIGCHLD: their peaks are in no ancestor's rusage. */
void children_uncounted(const struct proc *p)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && procs[i].parent == p->id)
			procs[i].uncounted = true;
}

/* Between two looks there were no more threads than at the first of them, and those that were born since. */
static void note_threads(struct image *im, int64_t threads, int64_t born)
{
	int64_t between = im->threads_seen + (born > im->born_at_look ? born - im->born_at_look : 0);

	if (between > im->threads_at_most && !g.trace)
		im->threads_at_most = between;
	if (threads > im->threads_at_most)
		im->threads_at_most = threads;
	im->threads_seen = threads > 0 ? threads : 1;
	im->born_at_look = born;
}

void image_note(struct proc *p, int64_t now, const struct status *st)
{
	struct hw_rss rss = {st->rss, st->anon, st->file, st->shmem};
	struct image *im = &p->image;

	if (st->rss < 0)
		return;
	if (st->vm_peak > im->vm_peak)
		im->vm_peak = st->vm_peak;
	if (st->threads > im->threads)
		im->threads = st->threads;
	note_threads(im, st->threads, threads_born(false));
	im->last_read_ns = now;
	if (st->ignores_sigchld && !p->ignored_sigchld) {
		p->ignored_sigchld = true;
		g.stats.uncounted = 1;
		children_uncounted(p);
	}
	beside(st->swap, &im->swap, &im->max_swap);
	beside(st->pte, &im->pte, &im->max_pte);
	beside(st->hugetlb, &im->hugetlb, &im->max_hugetlb);
	image_take(p, now, &rss, st->hwm);
}

void image_begin(struct proc *p, int64_t now, uint16_t flags)
{
	/* It may have begun before this look; one that took another's place, since that was looked at last. */
	int64_t born = threads_born_before();

	if (p->image.threads_seen > 0 && p->image.born_at_look < born)
		born = p->image.born_at_look;
	p->image = (struct image){.id = next_image_id(), .flags = flags, .t_ns = now, .at_max_ns = now, .last_read_ns = now,
				  .start = {-1, -1, -1, -1}, .last = {-1, -1, -1, -1}, .at_max = {-1, -1, -1, -1}, .hwm = -1,
				  .max_rss = -1, .vm_peak = -1, .max_swap = -1, .swap = -1, .max_pte = -1, .pte = -1,
				  .max_hugetlb = -1, .hugetlb = -1, .before_hwm = -1, .file_share = -1, .pss_shmem = -1,
				  .exact = {.max = -1, .least = -1, .at_ns = -1, .lost_before = g.lost_before},
				  .counted = -1, .rss_at_look = -1, .threads_seen = 1, .born_at_look = born};
	memset(p->image.written, 0xff, sizeof(p->image.written));
	p->due_tick = 0;
}

/* Reads the names of the image, and writes HW_IMAGE_START. Without the right to read exe, the name must do. */
void image_announce(struct proc *p, bool read_names)
{
	static char cmdline[HW_CMDLINE_MAX + 1];
	char path[48], exe[512];
	struct image *im = &p->image;
	struct hw_image_start start = {.t_ns = im->t_ns, .image = im->id, .proc = p->id, .start = im->start,
					.before_hwm_bytes = im->before_hwm};
	ssize_t exe_len, len;

	if (im->announced)
		return;
	im->announced = true;
	proc_announce(p, HW_SEEN_SAMPLED);
	if (!read_names && im->id == 0 && !g.attached)
		im->flags |= HW_IMAGE_GUESSED; /* the command, which ended before it could be asked */
	if (!read_names || (g.trace && (im->flags & HW_IMAGE_FORKED))) {
		exe_len = len = 0; /* its successor's by now; or its parent's, until execve */
	} else {
		snprintf(path, sizeof(path), "/proc/%d/exe", p->tid);
		exe_len = readlink(path, exe, sizeof(exe));
		snprintf(path, sizeof(path), "/proc/%d/cmdline", p->tid);
		len = read_file(path, cmdline, sizeof(cmdline));
	}
	if (len > HW_CMDLINE_MAX) {
		len = HW_CMDLINE_MAX;
		im->flags |= HW_IMAGE_CLIPPED;
	}
	start.comm_len = (uint16_t)p->comm_len;
	start.exe_len = (uint16_t)(exe_len > 0 ? exe_len : 0);
	start.cmdline_len = (uint32_t)(len > 0 ? len : 0);

	static char names[64 + 512 + HW_CMDLINE_MAX];
	memcpy(names, p->comm, p->comm_len);
	memcpy(names + p->comm_len, exe, start.exe_len);
	stream_record(HW_IMAGE_START, im->flags, &start, sizeof(start), names, p->comm_len + start.exe_len,
		      start.cmdline_len, cmdline);
}

void image_end(struct proc *p, int64_t now, uint16_t how, int64_t folded_maxrss)
{
	struct image *im = &p->image;

	note_threads(im, im->threads_seen, threads_born(true));
	struct hw_image_end end = {.t_ns = now, .image = im->id, .samples = im->samples, .last = im->last,
				   .hwm_bytes = im->hwm, .max_rss_bytes = im->max_rss, .vm_peak_bytes = im->vm_peak,
				   .folded_maxrss_bytes = folded_maxrss, .at_max = im->at_max,
				   .at_max_ns = im->at_max_ns, .max_swap_bytes = im->max_swap,
				   .last_read_ns = im->last_read_ns, .max_threads = im->threads,
				   .max_pte_bytes = im->max_pte, .max_hugetlb_bytes = im->max_hugetlb,
				   .exact_max_bytes = im->exact.max, .exact_least_bytes = im->exact.least,
				   .exact_at_ns = im->exact.at_ns, .exact_lost = -1, .exact_raced = -1,
				   .counted_bytes = im->counted, .threads_at_most = im->threads_at_most};
	const struct exact *x = &im->exact;

	if (x->max >= 0) {
		end.exact_lost = g.stats.lost_events - x->lost_before;
		end.exact_raced = x->raced;
		if (x->max > im->max_rss) {
			end.at_max = x->at_max;
			end.at_max_ns = x->at_ns;
		}
	}

	image_announce(p, how == HW_ENDED_ALIVE);
	stream_event(HW_IMAGE_END, how, &end, sizeof(end));
}

void proc_announce(struct proc *p, uint16_t seen)
{
	struct hw_proc_start start = {p->t_ns, p->id, p->parent, p->pid, p->ppid};

	if (p->announced)
		return;
	p->announced = true;
	stream_event(HW_PROC_START, seen, &start, sizeof(start));
}

/* A child of ours has ended, and we have yet to wait for it: what it ignored can still be read (task_sig() of
 * fs/proc/array.c), which it may have begun to do after the last look. */
void last_sight(int32_t pid)
{
	struct proc *p = proc_find(pid);
	char path[32], buf[8192];
	struct status st;

	if (p && p->ignored_sigchld)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	ssize_t n = read_file(path, buf, sizeof(buf));

	if (n <= 0 || !parse_status(buf, (size_t)n, &st) || !st.ignores_sigchld)
		return;
	g.stats.uncounted = 1;
	if (p) {
		p->ignored_sigchld = true;
		children_uncounted(p);
	}
}

/* Children of a process that ignores SIGCHLD are waited for by nobody. It may have begun to since it was last read. */
static bool parent_ignores(const struct proc *p)
{
	struct proc *parent = proc_by_id(p->parent);
	char path[32], buf[8192];
	struct status st;
	ssize_t n;

	if (!parent)
		return false;
	if (!parent->ignored_sigchld) {
		snprintf(path, sizeof(path), "/proc/%d/status", (int)parent->pid);
		n = read_file(path, buf, sizeof(buf));
		parent->ignored_sigchld = n > 0 && parse_status(buf, (size_t)n, &st) && st.ignores_sigchld;
	}
	if (parent->ignored_sigchld)
		g.stats.uncounted = 1;
	return parent->ignored_sigchld || parent->uncounted;
}

void proc_write_end(const struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru)
{
	struct hw_proc_end end = {.t_ns = now, .proc = p->id, .status = status, .maxrss_bytes = -1, .user_ns = -1,
				  .system_ns = -1, .minor_faults = -1, .major_faults = -1};

	if (ru) {
		end.maxrss_bytes = (int64_t)ru->ru_maxrss * 1024;
		end.user_ns = ru->ru_utime.tv_sec * NS_PER_S + ru->ru_utime.tv_usec * 1000;
		end.system_ns = ru->ru_stime.tv_sec * NS_PER_S + ru->ru_stime.tv_usec * 1000;
		end.minor_faults = ru->ru_minflt;
		end.major_faults = ru->ru_majflt;
	}
	if (p->uncounted || (flags == 0 && parent_ignores(p)))
		flags |= HW_PROC_MAY_BE_UNCOUNTED;
	stream_event(HW_PROC_END, flags, &end, sizeof(end));
}

/* The process is gone: closes its image and its record, and forgets it. */
void proc_end(struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru)
{
	image_over(p, now);
	if (p->ignored_sigchld || p->uncounted)
		children_uncounted(p);
	proc_write_end(p, now, flags, status, ru);
	proc_remove(p);
}

/* The process has no memory any more, whether or not its parent has waited for it. */
void image_over(struct proc *p, int64_t now)
{
	if (p->image_over)
		return;
	p->image_over = true;
	image_end(p, now, p->exit_read ? HW_ENDED_EXIT_STOP : HW_ENDED_VANISHED, -1);
	tree_proc_left(p);
	tree_image_ended(&p->image, p->exit_read || exact_whole(&p->image));
}
