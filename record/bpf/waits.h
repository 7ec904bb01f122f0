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

static __always_inline __u32 state_of(struct task_struct *task, bool preempt, unsigned int state)
{
	if (preempt || !state)
		return PREEMPTED;
	if (state & (TASK_STOPPED | TASK_TRACED))
		return STOPPED;
	if (BPF_CORE_READ_BITFIELD(task, in_iowait))
		return IO;
	return state & TASK_INTERRUPTIBLE ? SLEEPING : BLOCKED;
}

// Number of the system call that a thread is in, plus one.
static __always_inline __u32 syscall_of(struct task_struct *task)
{
	struct pt_regs *regs = entry_registers(task);
	__s64 number = -1;

	// Interrupts and exceptions leave -1 there.
	bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_rax);
	if (number < 0 || number >= MAX_CALLS)
		return 0;
	return number + 1 + (FIELD(task, thread_info.status) & TS_COMPAT ? COMPAT : 0);
}

#ifdef OLD_KERNEL
// Linux 5.18 has one argument more.
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	unsigned int prev_state = state_bits(prev);
#else
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
#endif
	struct thread *thread;

	// The dead do not wait.
	if (!prev->pid || prev_state & TASK_DEAD)
		return 0;
	thread = thread_of(prev);
	if (!thread)
		return 0;
	thread->off_since = bpf_ktime_get_ns();
	thread->off_state = state_of(prev, preempt, prev_state);
	thread->off_syscall = syscall_of(prev);
	thread->off_seen = 0;
	thread->ready_since = thread->off_state == PREEMPTED ? thread->off_since : 0;
	return 0;
}

SEC("tp_btf/sched_wakeup")
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
					  struct thread *thread, __u64 since, __u64 now)
{
	fill_head(&wait->head, KIND_WAIT, now, task);
	wait->duration = now - since;
	wait->queued = thread->ready_since ? now - thread->ready_since : 0;
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

// A thread goes on: its wait is over. `inner` frames of the kernel stack are
// not its own, but those of this program.
static __always_inline int end_wait(void *ctx, __u64 inner)
{
	struct task_struct *task = current_task();
	struct thread *thread = known_thread(task);
	__u64 since, now, duration, weight, queued, length, threshold;
	struct wait_room *room;
	struct total *total;

#ifdef OLD_KERNEL
	// See take_value.
	if (is_ending())
		return 0;
#endif
	// Who gets its beginning reports it, and nobody else.
	since = thread ? take_value(&thread->off_since) : 0;
	if (!since)
		return 0;
	now = bpf_ktime_get_ns();
	duration = now - since;
	queued = thread->ready_since ? now - thread->ready_since : 0;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = FIELD(task, pid),
		.class = TOTAL_WAITS,
		.state = thread->off_state,
		.number_plus_one = short_number(thread->off_syscall),
	};
	total = add_total(&key, duration);
	if (total)
		total->queued_ns += queued;

	threshold = wait_threshold();
	weight = duration < threshold ? due(&thread->off_credit, duration, threshold) : duration;
	room = weight ? wait_room() : NULL;
	if (room) {
		struct wait *wait = &room->record;

		describe_wait(wait, task, thread, since, now);
		wait->weight = weight;
		fill_entry_registers(&wait->where, task);
		if (settings.kernel)
			wait->where.kernel_bytes =
				length_of(bpf_get_stack(ctx, room->stack, MAX_KERNEL_BYTES, inner));
		length = append_user_stack(&wait->where, room->stack, task);
		if (length <= STACK_ROOM &&
		    bpf_ringbuf_output(&waits, room, sizeof(*wait) + length, wakeup(&waits)))
			lose(LOST_WAITS);
	}
	return 0;
}

#ifndef OLD_KERNEL
// Runs in the thread that goes on, when it has the CPU (Linux 6.15).
SEC("tp_btf/sched_exit_tp")
int on_resume(__u64 *ctx)
{
	// The innermost two frames are this program and its caller; there is one
	// more, which readers leave out, if others have programs here.
	return ctx[0] ? end_wait(ctx, 2) : 0;
}
#endif

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
	thread->ready_since = thread->off_state == PREEMPTED ? now : 0;
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
	__u64 length, kernel;
	__u32 only = 0;
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
	describe_wait(wait, task, thread, since, bpf_ktime_get_ns());
	wait->seen |= SEEN_UNFINISHED;
	wait->weight = wait->duration;
	fill_entry_registers(&wait->where, task);
	// The kernel leaves out the scheduler's own frames here.
	if (settings.kernel)
		wait->where.kernel_bytes =
			length_of(bpf_get_task_stack(task, room->stack, MAX_KERNEL_BYTES, 0));
	kernel = wait->where.kernel_bytes;
	length = wait->where.has_registers ? used_bytes(&wait->where, task) : 0;
	barrier_var(kernel);
	barrier_var(length);
	if (kernel > MAX_KERNEL_BYTES || length > MAX_USER_BYTES)
		return 0;
	if (with_user_stack) {
		// It is all or nothing: less is tried if the stack is not as deep.
		for (int i = 0; i < 8 && length; i++) {
			if (!bpf_copy_from_user_task(room->stack + kernel, length,
						     (void *)wait->where.slots[7], task, 0))
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
	}
	wait->where.user_bytes = length;
	if (bpf_ringbuf_output(&waits, room, sizeof(*wait) + kernel + length, BPF_RB_FORCE_WAKEUP))
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
