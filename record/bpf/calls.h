// System calls: taken down when they begin, handed over when they return.
#pragma once

#define MAX_ERRNO 4095
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516
#define SIGKILL_BIT (1UL << 8)
// Of a thread and of one kind.
#define CALLS_BETWEEN_WAKEUPS 16

// As for allocations: these programs, too, may be preempted.
struct call_room {
	__u32 busy;
	__u32 unused;
	struct call_in_full record;
	__u8 stack[STACK_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call_room);
} call_rooms SEC(".maps");

static __always_inline struct call_room *call_room(void)
{
	__u32 first = bpf_get_smp_processor_id() * ROOMS_PER_CPU;

#pragma unroll
	for (int i = 0; i < ROOMS_PER_CPU; i++) {
		__u32 at = first + i;
		struct call_room *room = bpf_map_lookup_elem(&call_rooms, &at);

		if (room && take_room(&room->busy))
			return room;
	}
	return NULL;
}

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CALLS + 1);
	__type(key, __u32);
	__type(value, struct call_info);
} call_infos SEC(".maps");

static __always_inline bool is_exec(__u64 number)
{
	return number == EXECVE || number == EXECVEAT;
}

static __always_inline struct call_info *info_of(__u32 number)
{
	__u32 at = number & COMPAT ? MAX_CALLS : number;

	return bpf_map_lookup_elem(&call_infos, &at);
}

static __always_inline void keep_exec_args(struct thread *thread, const void *at)
{
	struct pt_regs regs;
	__u64 args[6];

	if (bpf_probe_read_kernel(&regs, sizeof(regs), at))
		return;
	call_arguments(args, &regs, false);
#pragma unroll
	for (int i = 0; i < 5; i++)
		thread->exec_args[i] = args[i];
}

// Kernels from 6.19 on may preempt the programs of system calls, and skip them
// for other threads that the CPU goes on with meanwhile. There, each has a second
// one behind it, which does its work if it was skipped: `again`.
static __always_inline int begin_call(struct bpf_raw_tracepoint_args *ctx, bool again)
{
	struct task_struct *task = current_task();
	struct thread *thread = known_thread(task);
	__u32 number = ctx->args[1];
	struct call_info *info;

	if (!thread) {
		__u32 tracking = tracking_of(bpf_get_current_pid_tgid() >> 32);

		// The one that starts the program belongs to it.
		if (!tracking || (tracking == UNTIL_EXEC && !is_exec(number)))
			return 0;
		thread = new_thread(task);
		if (!thread)
			return 0;
	}
	if (thread->in_call) {
		if (again)
			return 0;
		// Both were skipped when the last one returned; or that was found when the
		// recording began, and returned just then.
		if (!thread->late_since)
			lose(LOST_SKIPPED);
	}
	thread->in_call = 1;
	thread->call_since = 0;
	thread->late_since = 0;
	if (is_compat(task))
		number |= COMPAT;
	info = info_of(number);
	if (!info || !info->wanted)
		return 0;
	thread->call_number = number;
	thread->call_since = bpf_ktime_get_ns();
	if (is_exec(number)) {
		thread->program[0] = 0;
		keep_exec_args(thread, (void *)ctx->args[0]);
	}
	return 0;
}

SEC("raw_tp/sys_enter")
int on_call(struct bpf_raw_tracepoint_args *ctx)
{
	return begin_call(ctx, false);
}

SEC("raw_tp/sys_enter")
int on_call_again(struct bpf_raw_tracepoint_args *ctx)
{
	return begin_call(ctx, true);
}

// The call that a thread is in.
struct in_call {
	__u64 since;
	__u32 number;
	__u32 seen;
};

// Ends the call that a thread is in; false if it is in none. What was found
// counts only if no beginning was seen: it may have been found too late.
static __always_inline bool take_call(struct thread *thread, struct in_call *call)
{
	bool late = !thread->call_since;

	call->since = late ? thread->late_since : thread->call_since;
	call->number = late ? thread->late_number : thread->call_number;
	call->seen = late ? SEEN_LATE : 0;
	thread->call_since = 0;
	thread->late_since = 0;
	return call->since;
}

static __always_inline void describe_call(struct call *call, struct task_struct *task,
					  const struct in_call *in, const struct pt_regs *regs,
					  const struct call_info *info, __u64 now)
{
	bool compat = in->number & COMPAT;
	__u64 args[6];

	call_arguments(args, regs, compat);
	fill_head(&call->head, KIND_CALL, now, task);
	call->start = in->since;
	call->duration = now - in->since;
	call->number = in->number;
	call->seen = in->seen;
#pragma unroll
	for (int i = 0; i < 6; i++)
		call->args[i] = i < info->args ? (compat ? (__u32)args[i] : args[i]) : 0;
	call->count = 1;
	call->stack_weight = 0;
	call->text_len[0] = call->text_len[1] = 0;
}

static __always_inline __u64 arg(const struct call *call, __u32 at)
{
	return at < 6 ? call->args[at] : 0;
}

// Reads what an argument points to; returns its length plus one.
static __always_inline __u16 read_text(__u8 *to, const struct call *call,
				       const struct call_info *info, const struct thread *thread,
				       int which)
{
	void *from = (void *)arg(call, info->arg[which]);
	__u32 length = arg(call, info->len_arg[which]);
	__u64 size;
	long read;

	switch (info->capture[which]) {
	case CAPTURE_PATH:
		if (is_exec(call->number) && thread->program[0])
			read = bpf_probe_read_kernel_str(to, MAX_PATH + 1, thread->program);
		else
			read = bpf_probe_read_user_str(to, MAX_PATH + 1, from);
		// It counts the terminating zero.
		return read > 0 ? read : 0;
	case CAPTURE_ADDRESS_OUT:
		if (call->result < 0 || !from ||
		    bpf_probe_read_user(&length, sizeof(length),
					(void *)arg(call, info->len_arg[which])))
			return 0;
		break;
	case CAPTURE_ADDRESS_IN:
		break;
	default:
		return 0;
	}
	size = length > MAX_ADDRESS ? MAX_ADDRESS : length;
	// Shows the verifier what the compiler knows.
	asm volatile("%0 &= 0xff" : "+r"(size));
	return size && !bpf_probe_read_user(to, size, from) ? size + 1 : 0;
}

// Whether a call ends because its thread is being killed.
static __always_inline bool is_killed(struct task_struct *task, __s64 result)
{
	return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK &&
	       FIELD(task, pending.signal.sig[0]) & SIGKILL_BIT;
}

// Every failed call and every one that connects gets a stack, unless a thread has very
// many: then one in each `interval`, after the first thousand.
static __always_inline bool may_have_stack(struct thread *thread, __u64 now, __u64 interval)
{
	__u64 earliest = now - 1000 * interval;

	if (thread->stacks_until < earliest)
		thread->stacks_until = earliest;
	if (thread->stacks_until + interval > now)
		return false;
	thread->stacks_until += interval;
	return true;
}

// No other call will stand for those of the thread that were not written. In the end, it
// may be about to say so itself.
static __always_inline void lose_left_out(struct thread *thread)
{
#ifdef OLD_KERNEL
	__u32 count = thread->calls_left_out;

	thread->calls_left_out = 0;
#else
	__u32 count = __sync_lock_test_and_set(&thread->calls_left_out, 0);
#endif
	count_many(LOST_CALLS, count);
}

// A thousand stacks may be more than the ring has room for, as when a program looks for its
// libraries in many places: better a call without a stack than none.
static __always_inline bool has_room_for_stacks(void)
{
	return bpf_ringbuf_query(&calls, BPF_RB_AVAIL_DATA) <
	       bpf_ringbuf_query(&calls, BPF_RB_RING_SIZE) / 2;
}

// What the stack of a call stands for; `*wanted` says whether to take one. Those that
// connect take no time of the caller's, and yet somebody will ask who they were.
static __always_inline __u64 stack_weight(struct thread *thread, __u64 number, __u64 now,
					  __u64 duration, bool failed, bool *wanted)
{
	__u64 threshold = settings.stack_threshold_ns;
	bool connects = number == CONNECT;
	bool takes = (failed || connects) && has_room_for_stacks() &&
		     may_have_stack(thread, now, threshold / 10);
	__u64 weight;

	if (settings.call_stacks == 2 || duration >= threshold || (connects && takes))
		weight = duration;
	else
		weight = due(&thread->call_credit, duration, threshold);
	*wanted = settings.call_stacks && (weight || takes || settings.call_stacks == 2);
	return settings.call_stacks ? weight : 0;
}

static __always_inline int end_call(struct bpf_raw_tracepoint_args *ctx, bool again)
{
	struct task_struct *task = current_task();
	struct thread *thread = known_thread(task);
	struct control *values;
	struct call_info *info;
	struct call_room *room;
	const struct pt_regs *regs = (void *)ctx->args[0];
	struct total *total = NULL;
	__u64 now, duration, weight, length = 0;
	__s64 result = ctx->args[1];
	bool failed = result < 0 && result >= -MAX_ERRNO;
	bool with_stack;
	__u32 only = 0, count = 1;
	struct in_call in;

	if (!thread || (again && !thread->in_call))
		return 0;
	thread->in_call = 0;
	// A call that was interrupted for good does not return: the thread ends.
	if (is_killed(task, result) || !take_call(thread, &in))
		return 0;
	info = info_of(in.number);
	// Attempts to start the program that did not succeed are the recorder's.
	if (!info || (is_exec(in.number) && tracking_of(bpf_get_current_pid_tgid() >> 32) != LIVE))
		return 0;
	now = bpf_ktime_get_ns();
	duration = now - in.since;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = FIELD(task, pid),
		.class = TOTAL_CALLS,
		.number_plus_one = short_number(in.number + 1),
	};
	// How long a call took that began before the recording is not known.
	if (!in.seen) {
		total = add_total(&key, duration);
		if (total && failed)
			total->errors++;
	}
	if (settings.calls < 2 || duration < settings.slower_than_ns)
		return 0;
	weight = stack_weight(thread, in.number, now, duration, failed, &with_stack);
	values = bpf_map_lookup_elem(&control, &only);
	// A call that stands for time is always written, and for itself alone;
	// the others stand for those of the thread that came before and were not.
	if (values && (values->thin > 1 || thread->calls_left_out) && !weight &&
	    duration < settings.stack_threshold_ns) {
		count = ++thread->calls_left_out;
		if (!values->ending && values->thin > 1 &&
		    bpf_get_prandom_u32() % values->thin)
			return 0;
		// The thread may have been looked at for the last time.
		if (values->ending) {
			lose_left_out(thread);
			return 0;
		}
		thread->calls_left_out = 0;
	}
#ifdef OLD_KERNEL
	// Their type is not known here, so that they cannot be read where they are.
	struct pt_regs copy;

	if (bpf_probe_read_kernel(&copy, sizeof(copy), regs))
		return 0;
	regs = &copy;
#endif
	if (!with_stack && !info->capture[0]) {
		struct call *call = bpf_ringbuf_reserve(&calls, sizeof(*call), 0);

		if (!call) {
			count_many(LOST_CALLS, count);
			return 0;
		}
		describe_call(call, task, &in, regs, info, now);
		call->result = result;
		call->count = count;
		// Looking how full the ring is would take a tenth of what a call costs.
		bpf_ringbuf_submit(call, total && total->count % CALLS_BETWEEN_WAKEUPS
						 ? BPF_RB_NO_WAKEUP : wakeup(&calls));
		return 0;
	}
	room = call_room();
	if (!room) {
		count_many(LOST_CALLS, count);
		return 0;
	}
	describe_call(&room->record.call, task, &in, regs, info, now);
	if (is_exec(in.number)) {
#pragma unroll
		for (int i = 0; i < 6; i++)
			room->record.call.args[i] = i < info->args ? thread->exec_args[i] : 0;
	}
	room->record.call.result = result;
	room->record.call.count = count;
	room->record.call.stack_weight = weight;
	room->record.call.text_len[0] =
		read_text(room->record.texts[0], &room->record.call, info, thread, 0);
	room->record.call.text_len[1] =
		read_text(room->record.texts[1], &room->record.call, info, thread, 1);
	room->record.where.has_registers = 0;
	room->record.where.kernel_bytes = 0;
	room->record.where.user_bytes = 0;
	room->record.where.python_bytes = 0;
	room->record.where.user_holes = 0;
	if (with_stack) {
		fill_registers(&room->record.where, regs);
		length = begin_stack(&room->record.where, room->stack, task);
		length += append_user_stack(&room->record.where, room->stack + length, task);
	}
	if (length <= STACK_ROOM &&
	    bpf_ringbuf_output(&calls, &room->record, sizeof(room->record) + length,
			       wakeup(&calls)))
		count_many(LOST_CALLS, count);
	leave_room(&room->busy);
	return 0;
}

SEC(TRACEPOINT "sys_exit")
int on_return(struct bpf_raw_tracepoint_args *ctx)
{
	return end_call(ctx, false);
}

SEC(TRACEPOINT "sys_exit")
int on_return_again(struct bpf_raw_tracepoint_args *ctx)
{
	return end_call(ctx, true);
}

// Hands over a call that ends with its thread, or with the recording. What was left out
// until then is lost: no other call will stand for it.
static __always_inline void hand_over_unfinished(struct task_struct *task, struct thread *thread)
{
	struct pt_regs regs;
	struct call_info *info;
	struct call *call;
	struct in_call in;

	lose_left_out(thread);
	if (!take_call(thread, &in) || settings.calls < 2)
		return;
	info = info_of(in.number);
	if (!info || bpf_probe_read_kernel(&regs, sizeof(regs), entry_registers(task)))
		return;
	call = bpf_ringbuf_reserve(&calls, sizeof(*call), 0);
	if (!call) {
		lose(LOST_CALLS);
		return;
	}
	describe_call(call, task, &in, &regs, info, bpf_ktime_get_ns());
	call->result = 0;
	call->seen |= SEEN_UNFINISHED;
	bpf_ringbuf_submit(call, BPF_RB_NO_WAKEUP);
}

static __always_inline void call_never_returns(struct task_struct *task)
{
	struct thread *thread = known_thread(task);

	if (thread)
		hand_over_unfinished(task, thread);
}

// At the start of the recording: takes down who is in a call already.
SEC("iter/task")
int find_calling(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread;
	struct call_info *info;
	__u32 number;

	thread = task && !is_dead(task) ? thread_of(task) : NULL;
	// A worker of the kernel has the registers of who made it.
	if (!thread || thread->call_since || FIELD(task, on_cpu) ||
	    FIELD(task, flags) & (PF_IO_WORKER | PF_USER_WORKER))
		return 0;
	number = syscall_of(task);
	if (!number--)
		return 0;
	info = info_of(number);
	if (!info || !info->wanted)
		return 0;
	thread->in_call = 1;
	thread->late_number = number;
	thread->late_since = bpf_ktime_get_ns();
	return 0;
}

// At the end: hands over the calls that go on; 1 as for waits.
SEC("iter/task")
int find_still_calling(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread = task ? known_thread(task) : NULL;

	if (!thread)
		return 0;
	if (settings.calls == 2 && !has_room(&calls, sizeof(struct call)))
		return 1;
	hand_over_unfinished(task, thread);
	return 0;
}

SEC("raw_tp/io_uring_submit_req")
int on_io_uring_request(struct bpf_raw_tracepoint_args *ctx)
{
	struct io_kiocb *request = (struct io_kiocb *)ctx->args[0];
	struct task_struct *task = current_task();
	struct thread *thread = thread_of(task);
	struct total *total;

	if (!thread)
		return 0;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = FIELD(task, pid),
		.class = TOTAL_IO_URING,
		.number_plus_one = BPF_CORE_READ(request, opcode) + 1,
	};
	total = total_of(&key);
	if (total)
		total->count++;
	return 0;
}
