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
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__s64 number = -1;

	// Interrupts and exceptions leave -1 there.
	bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_rax);
	if (number < 0 || number >= MAX_CALLS)
		return 0;
	return number + 1 + (task->thread_info.status & TS_COMPAT ? COMPAT : 0);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
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
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);

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
	wait->where.kernel_bytes = 0;
}

// Ends a thread's wait. Who gets its beginning reports it, and nobody else.
static __always_inline __u64 take_off_since(struct thread *thread)
{
	__u64 since = thread->off_since;

	return since && __sync_val_compare_and_swap(&thread->off_since, since, 0) == since ? since
											    : 0;
}

// Runs in the thread that goes on, when it has the CPU.
SEC("tp_btf/sched_exit_tp")
int on_resume(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread;
	__u64 since, now, duration, weight, queued, length, threshold;
	struct wait_room *room;
	struct total *total;

	// Nobody else ran in between.
	if (!ctx[0])
		return 0;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	since = thread ? take_off_since(thread) : 0;
	if (!since)
		return 0;
	now = bpf_ktime_get_ns();
	duration = now - since;
	queued = thread->ready_since ? now - thread->ready_since : 0;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = task->pid,
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
		// The innermost two frames are this program and its caller; there is
		// one more, which readers leave out, if others have programs here.
		if (settings.kernel)
			wait->where.kernel_bytes =
				length_of(bpf_get_stack(ctx, room->stack, MAX_KERNEL_BYTES, 2));
		length = append_user_stack(&wait->where, room->stack, task);
		if (length <= STACK_ROOM &&
		    bpf_ringbuf_output(&waits, room, sizeof(*wait) + length, wakeup(&waits)))
			lose(LOST_WAITS);
	}
	return 0;
}

// At the start of the recording: takes down who waits already.
SEC("iter/task")
int find_waiting(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread = task && !is_dead(task) ? thread_of(task) : NULL;
	__u64 now;

	// Whoever has stopped running since the programs are attached is known.
	if (!thread || thread->off_since || task->on_cpu)
		return 0;
	thread->off_state = state_of(task, false, task->__state);
	thread->off_syscall = syscall_of(task);
	thread->off_seen = SEEN_LATE;
	now = bpf_ktime_get_ns();
	thread->ready_since = thread->off_state == PREEMPTED ? now : 0;
	thread->off_since = now;
	// It may have gone on just before that; if just after, it has taken it.
	if (task->on_cpu)
		take_off_since(thread);
	return 0;
}

// At the end: hands over the waits that go on, with the stack as long as the
// thread has not run meanwhile. A ring without room is what the recorder is
// told by 1, to come back to the same thread when it has made some.
SEC("iter.s/task")
int find_still_waiting(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread = task ? bpf_task_storage_get(&threads, task, 0, 0) : NULL;
	struct last_wait_room *room;
	struct wait *wait;
	__u32 length, kernel, only = 0;
	unsigned long runs;
	bool runs_now;
	__u64 since;

	if (!thread || !thread->off_since)
		return 0;
	if (!has_room(&waits, sizeof(*room)))
		return 1;
	since = take_off_since(thread);
	if (!since)
		return 0;
	runs = task->sched_info.pcount;
	runs_now = task->on_cpu;
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
	if (kernel > MAX_KERNEL_BYTES || length > MAX_USER_BYTES)
		return 0;
	// It is all or nothing: less is tried if the stack is not as deep.
	for (int i = 0; i < 8 && length; i++) {
		if (!bpf_copy_from_user_task(room->stack + kernel, length,
					     (void *)wait->where.slots[7], task, 0))
			break;
		length /= 2;
	}
	if (runs_now || task->on_cpu || task->sched_info.pcount != runs) {
		wait->where.has_registers = 0;
		kernel = wait->where.kernel_bytes = length = 0;
	}
	wait->where.user_bytes = length;
	if (bpf_ringbuf_output(&waits, room, sizeof(*wait) + kernel + length, BPF_RB_FORCE_WAKEUP))
		lose(LOST_WAITS);
	return 0;
}
