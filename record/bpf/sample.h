// CPU samples: on each tick of a CPU's timer, where the thread is that runs.
// Page faults, likewise: where the thread is that touches a page for the first
// time.
#pragma once

ROOM(struct sample, sample)
ROOM(struct sample, fault)

// Sees a thread that probes have to do with as if there were none: the registers
// at first, and then the stack.
static __always_inline void leave_probes(struct where *where, struct task_struct *task,
					 const struct thread *thread)
{
	leave_copy(where, task);
	if (thread) {
		leave_emulation(where, thread);
		leave_trampoline(where, task, thread);
		leave_function_trampoline(where, task);
	}
}

static __always_inline void hide_probes(struct where *where, __u8 *stack,
					const struct thread *thread)
{
	if (!thread)
		return;
	restore_caller(where, stack, &thread->kept_callers[0]);
	restore_caller(where, stack, &thread->kept_callers[1]);
}

static __always_inline int take_sample(struct bpf_perf_event_data *ctx, struct task_struct *task,
				       __u32 kind, struct sample *sample, __u8 *stack)
{
	bool has_probes = settings.allocations || settings.functions;
	struct thread *thread = has_probes ? known_thread(task) : NULL;
	__u64 length, python = begin_stack(&sample->where, stack, task);

	stack += python;
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
	if (has_probes)
		leave_probes(&sample->where, task, thread);
	length = append_user_stack(&sample->where, stack, task);
	if (settings.allocations)
		hide_probes(&sample->where, stack, thread);
	length += python;
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
