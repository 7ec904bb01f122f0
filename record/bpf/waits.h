// Intervals off the CPU: from the moment a thread stops running to that when
// it runs again, with the stack it then goes on from.
//
//   sched_switch      sched_wakeup        sched_exit
//   ──┤ off, why ├── blocked ──┤ ready ├── queued ──┤ runs: duration, stack ├──
#pragma once

ROOM(struct wait, wait)
// For the program that sleeps between its first and its last step.
ROOM(struct wait, last_wait)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} waits SEC(".maps");

// Whether a control group's queue has used up its quota.
static __always_inline bool is_throttled(struct cfs_rq *queue)
{
	return bpf_core_field_exists(queue->throttle_count) && BPF_CORE_READ(queue, throttle_count);
}

// For how long it has been so until now; what goes on does not count yet.
static __always_inline __u64 throttled_time(struct cfs_rq *queue)
{
	struct cfs_rq___before *before = (void *)queue;
	struct cfs_rq___long_before *long_before = (void *)queue;

	if (bpf_core_field_exists(queue->throttled_clock_self_time))
		return BPF_CORE_READ(queue, throttled_clock_self_time);
	if (bpf_core_field_exists(before->throttled_clock_pelt_time))
		return BPF_CORE_READ(before, throttled_clock_pelt_time);
	if (bpf_core_field_exists(long_before->throttled_clock_task_time))
		return BPF_CORE_READ(long_before, throttled_clock_task_time);
	return 0;
}

// Whether a thread waits until there is memory: it reclaims some, or reads back
// what was taken away, as far as the kernel counts that (PSI).
static __always_inline bool lacks_memory(struct task_struct *task)
{
	if (bpf_core_field_exists(task->in_memstall) && BIT(task, in_memstall))
		return true;
	return FIELD(task, flags) & PF_MEMALLOC;
}

static __always_inline __u32 state_of(struct task_struct *task, bool preempt, unsigned int state)
{
	if (preempt || !state)
		return is_throttled(BPF_CORE_READ(task, se.cfs_rq)) ? THROTTLED : PREEMPTED;
	if (state & (TASK_STOPPED | TASK_TRACED))
		return STOPPED;
	if (lacks_memory(task))
		return MEMORY;
	if (BIT(task, in_iowait))
		return IO;
	return state & TASK_INTERRUPTIBLE ? SLEEPING : BLOCKED;
}

// Number of the system call that a thread is in, plus one.
static __always_inline __u32 syscall_of(struct task_struct *task)
{
	const void *at = entry_call_number(task);
	__s64 number = -1;

	bpf_probe_read_kernel(&number, sizeof(number), at);
	if (number < 0 || number >= MAX_CALLS)
		return 0;
	return number + 1 + (is_compat(task) ? COMPAT : 0);
}

// Takes down since when a thread could run, if it could all the time, and what
// tells later how much of that its group's quota took.
static __always_inline void note_readiness(struct thread *thread, struct task_struct *task,
					   __u64 now)
{
	struct cfs_rq *queue = BPF_CORE_READ(task, se.cfs_rq);
	bool is_ready = thread->off_state == PREEMPTED || thread->off_state == THROTTLED;

	thread->ready_since = is_ready ? now : 0;
	thread->off_queue = (__u64)queue;
	thread->off_throttled = throttled_time(queue);
}

// How much of a wait that is over its group's quota took, at most `ready`: the
// time in which the thread could run.
static __always_inline __u64 taken_by_quota(struct thread *thread, struct task_struct *task,
					    __u64 ready)
{
	struct cfs_rq *queue = BPF_CORE_READ(task, se.cfs_rq);
	__u64 throttled;

	// On another CPU it is another queue: all that is known is how it began.
	if ((__u64)queue != thread->off_queue)
		return thread->off_state == THROTTLED ? ready : 0;
	throttled = throttled_time(queue) - thread->off_throttled;
	return throttled < ready ? throttled : ready;
}

#ifdef OLD_KERNEL
// Linux 5.18 has one argument more.
SEC(TRACEPOINT "sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	unsigned int prev_state = state_bits(prev);
#else
SEC(TRACEPOINT "sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
#endif
	struct thread *thread;

	// The dead do not wait.
	if (!FIELD(prev, pid) || prev_state & TASK_DEAD)
		return 0;
	thread = thread_of(prev);
	if (!thread)
		return 0;
	thread->off_since = bpf_ktime_get_ns();
	thread->off_state = state_of(prev, preempt, prev_state);
	thread->off_syscall = syscall_of(prev);
	thread->off_seen = 0;
	note_readiness(thread, prev, thread->off_since);
	return 0;
}

SEC(TRACEPOINT "sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	struct thread *thread = known_thread(task);

	if (thread && thread->off_since && !thread->ready_since)
		thread->ready_since = bpf_ktime_get_ns();
	return 0;
}

static __always_inline __u64 wait_threshold(void)
{
	__u32 only = 0;
	struct control *values = bpf_map_lookup_elem(&control, &only);

	return settings.stack_threshold_ns * (values && values->wait_scale ? values->wait_scale : 1);
}

static __always_inline void describe_wait(struct wait *wait, struct task_struct *task,
					  struct thread *thread, __u64 since, __u64 now,
					  __u64 queued)
{
	fill_head(&wait->head, KIND_WAIT, now, task);
	wait->duration = now - since;
	wait->queued = queued;
	wait->state = thread->off_state;
	wait->syscall_plus_one = thread->off_syscall;
	wait->seen = thread->off_seen;
	wait->wanted_bytes = 0;
	wait->runs = 0;
	wait->where.kernel_bytes = 0;
}

// Whether the waits that are not over are being handed over.
static __always_inline bool is_ending(void)
{
	__u32 only = 0;
	struct control *values = bpf_map_lookup_elem(&control, &only);

	return values && values->ending;
}

// Of a thread's time off the CPU, what has one reason.
struct interval {
	__u64 since;
	__u64 until;
	__u64 queued;
};

// Adds up an interval that is over, and hands it over if it is its turn.
// `inner` frames of the kernel stack are not the thread's own, but those of the
// program.
static __always_inline void report_wait(void *ctx, struct task_struct *task, struct thread *thread,
					const struct interval *of, __u64 inner)
{
	__u64 duration = of->until - of->since, threshold = wait_threshold(), weight, length;
	struct wait_room *room;
	struct total *total;
	__u64 python;
	__u8 *stack;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = FIELD(task, pid),
		.class = TOTAL_WAITS,
		.state = thread->off_state,
		.number_plus_one = short_number(thread->off_syscall),
	};
	total = add_total(&key, duration);
	if (total)
		total->queued_ns += of->queued;

	weight = duration < threshold ? due(&thread->off_credit, duration, threshold) : duration;
	room = weight ? wait_room() : NULL;
	if (!room)
		return;
	describe_wait(&room->record, task, thread, of->since, of->until, of->queued);
	room->record.weight = weight;
	fill_entry_registers(&room->record.where, task);
	python = begin_stack(&room->record.where, room->stack, task);
	stack = room->stack + python;
	if (settings.kernel)
		room->record.where.kernel_bytes =
			length_of(bpf_get_stack(ctx, stack, MAX_KERNEL_BYTES, inner));
	length = python + append_user_stack(&room->record.where, stack, task);
	if (length <= STACK_ROOM &&
	    bpf_ringbuf_output(&waits, room, sizeof(room->record) + length, wakeup(&waits)))
		lose(LOST_WAITS);
}

// A thread goes on: its wait is over.
static __always_inline int end_wait(void *ctx, __u64 inner)
{
	struct task_struct *task = current_task();
	struct thread *thread = known_thread(task);
	__u64 throttled, ready;
	struct interval last;

#ifdef OLD_KERNEL
	// See take_value.
	if (is_ending())
		return 0;
#endif
	// Who gets its beginning reports it, and nobody else.
	last.since = thread ? take_value(&thread->off_since) : 0;
	if (!last.since)
		return 0;
	if (thread->off_state == SLEEPING && waits_for_gil(task, thread->off_syscall, false))
		thread->off_state = GIL;
	last.until = bpf_ktime_get_ns();
	ready = thread->ready_since ? last.until - thread->ready_since : 0;
	throttled = taken_by_quota(thread, task, ready);
	last.queued = ready - throttled;
	if (throttled && thread->off_state != THROTTLED) {
		// It had been waiting for something else, and that came.
		if (thread->off_state != PREEMPTED) {
			struct interval first = last;

			first.until -= throttled;
			report_wait(ctx, task, thread, &first, inner);
			last.since = first.until;
			last.queued = 0;
		}
		thread->off_state = THROTTLED;
	}
	report_wait(ctx, task, thread, &last, inner);
	return 0;
}

// Runs in the thread that goes on, when it has the CPU (Linux 6.15).
SEC(TRACEPOINT "sched_exit_tp")
int on_resume(__u64 *ctx)
{
	// The innermost two frames are this program and its caller; there is one
	// more, which readers leave out, if others have programs here.
	return ctx[0] ? end_wait(ctx, 2) : 0;
}

// The same, by a probe in the function of the scheduler with which every thread
// goes on. What it was told may have been optimized away, and is not needed.
SEC("kprobe")
int on_resume_probed(struct pt_regs *ctx)
{
	return end_wait(ctx, 0);
}

// At the start of the recording: takes down who waits already.
SEC("iter/task")
int find_waiting(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread = task && !is_dead(task) ? thread_of(task) : NULL;
	__u64 now;

	// Whoever has stopped running since the programs are attached is known.
	if (!thread || thread->off_since || FIELD(task, on_cpu))
		return 0;
	thread->off_state = state_of(task, false, state_bits(task));
	thread->off_syscall = syscall_of(task);
	thread->off_seen = SEEN_LATE;
	now = bpf_ktime_get_ns();
	note_readiness(thread, task, now);
	thread->off_since = now;
	// It may have gone on just before that; if just after, it has taken it.
	if (FIELD(task, on_cpu))
		take_value(&thread->off_since);
	return 0;
}

// At the end: hands over the waits that go on, with the stack as long as the
// thread has not run meanwhile. A ring without room is what the recorder is
// told by 1, to come back to the same thread when it has made some.
//
// Without the user stack, the recorder reads that itself: it is told how much,
// and how often the thread has run, which must not change meanwhile.
static __always_inline int hand_over_wait(struct task_struct *task, bool with_user_stack)
{
	struct thread *thread = task ? known_thread(task) : NULL;
	struct last_wait_room *room;
	struct wait *wait;
	__u64 length, kernel, python = 0, now, queued;
	__u32 only = 0;
	__u8 *stack;
	unsigned long runs;
	bool runs_now;
	__u64 since;

	if (!thread || !thread->off_since)
		return 0;
	if (!has_room(&waits, sizeof(*room)))
		return 1;
	since = take_value(&thread->off_since);
	if (!since)
		return 0;
	runs = FIELD(task, sched_info.pcount);
	runs_now = FIELD(task, on_cpu);
	room = bpf_map_lookup_elem(&last_wait_rooms, &only);
	if (!room)
		return 0;
	wait = &room->record;
	now = bpf_ktime_get_ns();
	queued = thread->ready_since && thread->off_state != THROTTLED ? now - thread->ready_since : 0;
	describe_wait(wait, task, thread, since, now, queued);
	wait->seen |= SEEN_UNFINISHED;
	wait->weight = wait->duration;
	fill_entry_registers(&wait->where, task);
	if (with_user_stack) {
		if (wait->state == SLEEPING && waits_for_gil(task, wait->syscall_plus_one, true))
			wait->state = GIL;
		python = begin_stack_of(&wait->where, room->stack, task, true);
	}
	stack = room->stack + python;
	// The kernel leaves out the scheduler's own frames here.
	if (settings.kernel)
		wait->where.kernel_bytes =
			length_of(bpf_get_task_stack(task, stack, MAX_KERNEL_BYTES, 0));
	kernel = wait->where.kernel_bytes;
	length = wait->where.has_registers ? used_bytes(&wait->where, task) : 0;
	barrier_var(kernel);
	barrier_var(length);
	if (kernel > MAX_KERNEL_BYTES || length > MAX_USER_BYTES)
		return 0;
	if (with_user_stack) {
		// It is all or nothing: less is tried if the stack is not as deep.
		for (int i = 0; i < 8 && length; i++) {
			if (!bpf_copy_from_user_task(stack + kernel, length,
						     (void *)wait->where.slots[SP_SLOT], task, 0))
				break;
			length /= 2;
		}
	} else {
		wait->wanted_bytes = length;
		wait->runs = runs;
		length = 0;
	}
	if (runs_now || FIELD(task, on_cpu) || FIELD(task, sched_info.pcount) != runs) {
		wait->where.has_registers = 0;
		kernel = wait->where.kernel_bytes = wait->wanted_bytes = length = 0;
		python = wait->where.python_bytes = 0;
		wait->state = thread->off_state;
	}
	wait->where.user_bytes = length;
	wait->where.user_holes = 0;
	length += python + kernel;
	if (length <= STACK_ROOM &&
	    bpf_ringbuf_output(&waits, room, sizeof(*wait) + length, BPF_RB_FORCE_WAKEUP))
		lose(LOST_WAITS);
	return 0;
}

#ifndef OLD_KERNEL
SEC("iter.s/task")
int find_still_waiting(struct bpf_iter__task *ctx)
{
	return hand_over_wait(ctx->task, true);
}
#endif

SEC("iter/task")
int find_still_waiting_bare(struct bpf_iter__task *ctx)
{
	return hand_over_wait(ctx->task, false);
}
