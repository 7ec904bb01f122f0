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
	struct uprobe_task *copy = task->utask;
	__u64 at = where->slots[8];

	if (copy && at - copy->xol_vaddr < MAX_INSTRUCTION)
		where->slots[8] = copy->vaddr + (at - copy->xol_vaddr);
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
	if (length > STACK_ROOM)
		return 0;
	if (bpf_ringbuf_output(&samples, sample, sizeof(*sample) + length, wakeup(&samples)))
		lose(LOST_SAMPLES);
	return 0;
}

SEC("perf_event")
int on_tick(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sample_room *room;

	if (tracking_of(task->tgid) != LIVE)
		return 0;
	room = sample_room();
	return room ? take_sample(ctx, task, KIND_SAMPLE, &room->record, room->stack) : 0;
}

SEC("perf_event")
int on_fault(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fault_room *room;

	if (tracking_of(task->tgid) != LIVE)
		return 0;
	room = fault_room();
	return room ? take_sample(ctx, task, KIND_FAULT, &room->record, room->stack) : 0;
}
