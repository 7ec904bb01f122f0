// Calls of functions that were asked for: a probe at the beginning of each takes down what
// it is called with, and one at its end hands that over. What a thread has entered is kept
// as it is on its stack, so that functions may call each other and themselves, and may be
// left by exceptions and jumps.
//
//   ──┤ entry: time, arguments ├── … ──┤ return: result, duration, stack ├──
#pragma once

#ifndef OLD_KERNEL

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_FUNCTIONS);
	__type(key, __u32);
	__type(value, struct function_info);
} function_infos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HITS);
	__type(key, __u32);
	__type(value, __u64);
} function_hits SEC(".maps");

// Texts that functions were called with, until they return.
struct text_key {
	__u32 tid;
	__u32 depth;
};

struct texts {
	__u16 len[2];			// bytes + 1; 0 for none
	__u32 unused;
	__u8 text[2][MAX_TEXT + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct text_key);
	__type(value, struct texts);
} function_texts SEC(".maps");

// Room to put texts together, likewise.
struct text_room {
	__u32 busy;
	__u32 unused;
	struct texts texts;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct text_room);
} text_rooms SEC(".maps");

static __always_inline struct text_room *text_room(void)
{
	__u32 first = bpf_get_smp_processor_id() * ROOMS_PER_CPU;

#pragma unroll
	for (int i = 0; i < ROOMS_PER_CPU; i++) {
		__u32 at = first + i;
		struct text_room *room = bpf_map_lookup_elem(&text_rooms, &at);

		if (room && take_room(&room->busy))
			return room;
	}
	return NULL;
}

static __always_inline void count_function_hit(__u32 which)
{
	__u64 *count = bpf_map_lookup_elem(&function_hits, &which);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline __u16 read_function_text(__u8 *to, __u64 from)
{
	long read = from ? bpf_probe_read_user_str(to, MAX_TEXT + 1, (void *)from) : 0;

	// It counts the terminating zero.
	return read > 0 ? read : 0;
}

static __always_inline void keep_texts(const struct entered *entered,
				       const struct function_info *info, __u32 tid, __u32 depth)
{
	struct text_key key = { .tid = tid, .depth = depth };
	struct text_room *room = text_room();

	if (!room)
		return;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		__u32 arg = info->text_arg[i];

		room->texts.len[i] = 0;
		if (!arg--)
			continue;
		// Shows the verifier what the recorder knows.
		barrier_var(arg);
		if (arg < 6)
			room->texts.len[i] =
				read_function_text(room->texts.text[i], entered->args[arg]);
	}
	bpf_map_update_elem(&function_texts, &key, &room->texts, BPF_ANY);
	leave_room(&room->busy);
}

// The depth without what is not on the stack any more: it was left without returning. At
// `sp` itself is what a jump to another function has left, which returns with that one, or
// what an earlier call has left.
static __always_inline __u32 depth_above(const struct calling *calling, __u64 sp, bool is_jump)
{
	__u32 depth = calling->depth;

	for (int i = 0; i < MAX_DEPTH && depth; i++) {
		__u64 at = calling->entered[(depth - 1) % MAX_DEPTH].caller.at;

		if (at > sp || (is_jump && at == sp))
			break;
		depth--;
	}
	return depth;
}

SEC("uprobe")
int on_function(struct pt_regs *ctx)
{
	struct task_struct *task = current_task();
	__u32 function = bpf_get_attach_cookie(ctx), depth;
	struct function_info *info = bpf_map_lookup_elem(&function_infos, &function);
	struct kept_caller caller;
	struct entered *entered;
	struct calling *calling;
	struct thread *thread;
	bool is_jump;

	count_function_hit(info && info->stepped ? HIT_STEPPED : HIT_ENTRY);
	thread = is_32_bit(ctx) ? NULL : thread_of(task);
	if (!thread || !info)
		return 0;
	thread->probe_ip = PT_REGS_IP(ctx);
	thread->probe_sp = PT_REGS_SP(ctx);
	calling = bpf_task_storage_get(&callings, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	keep_caller(ctx, &caller);
	if (!calling || !caller.at) {
		lose(LOST_FUNCTION_CALLS);
		return 0;
	}
	is_jump = is_trampoline(task, caller.address);
	depth = depth_above(calling, caller.at, is_jump);
	calling->depth = depth;
	if (depth >= MAX_DEPTH) {
		lose(LOST_DEEP_CALLS);
		return 0;
	}
	// Where it returns to is where the one that jumped to it would.
	if (is_jump && depth && depth <= MAX_DEPTH)
		caller.address = calling->entered[(depth - 1) % MAX_DEPTH].caller.address;
	entered = &calling->entered[depth % MAX_DEPTH];
	entered->caller = caller;
	entered->ip = PT_REGS_IP(ctx);
	entered->function = function;
	function_arguments(entered->args, ctx);
	if (info->text_arg[0])
		keep_texts(entered, info, FIELD(task, pid), depth);
	calling->depth = depth + 1;
	// Last, as all of this is no part of the call.
	entered->since = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void describe_function_call(struct call *call, const struct pt_regs *ctx,
						   struct task_struct *task,
						   const struct entered *entered, __u64 now)
{
	fill_head(&call->head, KIND_FUNCTION_CALL, now, task);
	call->start = entered->since;
	call->duration = now - entered->since;
	call->result = PT_REGS_RC(ctx);
#pragma unroll
	for (int i = 0; i < 6; i++)
		call->args[i] = entered->args[i];
	call->stack_weight = 0;
	call->number = entered->function;
	call->count = 1;
	call->seen = 0;
	call->text_len[0] = call->text_len[1] = 0;
}

static __always_inline void hand_over_function_call(const struct pt_regs *ctx,
						    struct task_struct *task,
						    struct entered *entered, __u64 now)
{
	struct call *call = bpf_ringbuf_reserve(&calls, sizeof(*call), 0);

	if (!call) {
		lose(LOST_FUNCTION_CALLS);
		return;
	}
	describe_function_call(call, ctx, task, entered, now);
	bpf_ringbuf_submit(call, wakeup(&calls));
}

// The same with texts, and with a stack if it stands for time.
static __always_inline void hand_over_in_full(const struct pt_regs *ctx, struct task_struct *task,
					      struct entered *entered, __u32 depth,
					      const struct function_info *info, __u64 now,
					      __u64 weight)
{
	struct text_key key = { .tid = FIELD(task, pid), .depth = depth };
	struct call_room *room = call_room();
	struct texts *texts = NULL;
	struct call *call;
	__u64 length = 0;

	if (!room) {
		lose(LOST_FUNCTION_CALLS);
		return;
	}
	call = &room->record.call;
	describe_function_call(call, ctx, task, entered, now);
	call->stack_weight = weight;
	if (info->text_arg[0])
		texts = bpf_map_lookup_elem(&function_texts, &key);
#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (texts && texts->len[i]) {
			call->text_len[i] = texts->len[i];
			bpf_probe_read_kernel(room->record.texts[i], MAX_TEXT + 1, texts->text[i]);
		} else if (info->text_result == i + 1) {
			call->text_len[i] =
				read_function_text(room->record.texts[i], call->result);
		}
	}
	room->record.where.has_registers = 0;
	room->record.where.kernel_bytes = 0;
	room->record.where.user_bytes = 0;
	room->record.where.python_bytes = 0;
	room->record.where.user_holes = 0;
	if (weight) {
		// As it was called: the return address is put back there, below.
		fill_registers(&room->record.where, ctx);
		room->record.where.slots[SP_SLOT] = entered->caller.at;
		room->record.where.slots[IP_SLOT] = entered->ip;
		length = begin_stack(&room->record.where, room->stack, task);
		length += append_user_stack(&room->record.where, room->stack + length, task);
	}
	if (length <= STACK_ROOM &&
	    bpf_ringbuf_output(&calls, &room->record, sizeof(room->record) + length,
			       wakeup(&calls)))
		lose(LOST_FUNCTION_CALLS);
	leave_room(&room->busy);
}

SEC("uretprobe")
int on_function_end(struct pt_regs *ctx)
{
	struct task_struct *task = current_task();
	__u64 now = bpf_ktime_get_ns(), sp = PT_REGS_SP(ctx) - RETURN_BYTES, duration, weight;
	__u32 function = bpf_get_attach_cookie(ctx), depth;
	struct function_info *info = bpf_map_lookup_elem(&function_infos, &function);
	struct calling *calling = bpf_task_storage_get(&callings, task, 0, 0);
	struct thread *thread = known_thread(task);
	struct entered *entered;

	count_function_hit(HIT_RETURN);
	if (!calling || !thread || !info)
		return 0;
	depth = depth_above(calling, sp, true);
	calling->depth = depth;
	// One that was called before it was probed, or deeper than is kept.
	if (!depth || depth > MAX_DEPTH)
		return 0;
	depth--;
	entered = &calling->entered[depth % MAX_DEPTH];
	if (entered->caller.at != sp || entered->function != function)
		return 0;
	duration = now - entered->since;

	struct total_key key = {
		.epoch = thread->epoch,
		.tid = FIELD(task, pid),
		.class = TOTAL_FUNCTIONS,
		.number_plus_one = function + 1,
	};
	add_total(&key, duration);
	weight = duration >= settings.stack_threshold_ns
		? duration : due(&calling->credit, duration, settings.stack_threshold_ns);
	if (weight || info->text_arg[0] || info->text_result)
		hand_over_in_full(ctx, task, entered, depth, info, now, weight);
	else
		hand_over_function_call(ctx, task, entered, now);
	calling->returned = entered->caller;
	calling->depth = depth;
	return 0;
}

// The thread's process executes another program.
static __always_inline void forget_functions(struct task_struct *task)
{
	struct calling *calling = bpf_task_storage_get(&callings, task, 0, 0);

	if (calling)
		calling->depth = 0;
}

#else
static __always_inline void forget_functions(struct task_struct *task)
{
}
#endif
