// CPU samples: on each tick of a CPU's timer, where the thread is that runs.
// Page faults, likewise: where the thread is that touches a page for the first
// time.
#pragma once

#define MAX_INSTRUCTION 16

ROOM(struct sample, sample)
ROOM(struct sample, fault)

// Instructions with a probe are executed as copies: takes a thread that is at
// one back to where it seems to be.
static __always_inline void leave_copy(struct where *where, struct task_struct *task)
{
	struct uprobe_task *copy = FIELD(task, utask);
	__u64 at = where->slots[8];

	if (copy && at - FIELD(copy, xol_vaddr) < MAX_INSTRUCTION)
		where->slots[8] = FIELD(copy, vaddr) + (at - FIELD(copy, xol_vaddr));
}

// Puts a return address back in a copy of the stack.
static __always_inline void restore_caller(struct where *where, __u8 *stack,
					   const struct kept_caller *kept)
{
	__u64 kernel = where->kernel_bytes, offset = kept->at - where->slots[7];
	__u64 length = where->user_bytes;

	if (!kept->at || kernel > MAX_KERNEL_BYTES || length < sizeof(__u64) ||
	    offset > length - sizeof(__u64) || offset > MAX_USER_BYTES - sizeof(__u64))
		return;
	bpf_probe_read_kernel(stack + kernel + offset, sizeof(__u64), &kept->address);
}

// Sees a thread that a probe at the end of a function of its allocator awaits
// as if there were none.
static __always_inline void hide_probes(struct where *where, __u8 *stack,
					struct task_struct *task)
{
	struct thread *thread = known_thread(task);

	if (!thread)
		return;
	restore_caller(where, stack, &thread->kept_callers[0]);
	restore_caller(where, stack, &thread->kept_callers[1]);
}

static __always_inline int take_sample(struct bpf_perf_event_data *ctx, struct task_struct *task,
				       __u32 kind, struct sample *sample, __u8 *stack)
{
	__u64 length;

	fill_head(&sample->head, kind, bpf_ktime_get_ns(), task);
	sample->weight = ctx->sample_period;
	sample->where.kernel_bytes = 0;
	if (is_user_mode(&ctx->regs)) {
		fill_registers(&sample->where, &ctx->regs);
	} else {
		if (settings.kernel)
			sample->where.kernel_bytes =
				length_of(bpf_get_stack(ctx, stack, MAX_KERNEL_BYTES, 0));
		fill_entry_registers(&sample->where, task);
	}
	if (settings.allocations)
		leave_copy(&sample->where, task);
	length = append_user_stack(&sample->where, stack, task);
	if (settings.allocations)
		hide_probes(&sample->where, stack, task);
	if (length > STACK_ROOM)
		return 0;
	if (bpf_ringbuf_output(&samples, sample, sizeof(*sample) + length, wakeup(&samples)))
		lose(LOST_SAMPLES);
	return 0;
}

SEC("perf_event")
int on_tick(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = current_task();
	struct sample_room *room;

	if (tracking_of(bpf_get_current_pid_tgid() >> 32) != LIVE)
		return 0;
	room = sample_room();
	return room ? take_sample(ctx, task, KIND_SAMPLE, &room->record, room->stack) : 0;
}

SEC("perf_event")
int on_fault(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = current_task();
	struct fault_room *room;

	if (tracking_of(bpf_get_current_pid_tgid() >> 32) != LIVE)
		return 0;
	room = fault_room();
	return room ? take_sample(ctx, task, KIND_FAULT, &room->record, room->stack) : 0;
}
