// CPU samples: on each tick of a CPU's timer, where the thread is that runs.
#pragma once

ROOM(struct sample, sample)

SEC("perf_event")
int on_tick(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sample_room *room;
	struct sample *sample;
	__u64 length;

	if (tracking_of(task->tgid) != LIVE)
		return 0;
	room = sample_room();
	if (!room)
		return 0;
	sample = &room->record;
	fill_head(&sample->head, KIND_SAMPLE, bpf_ktime_get_ns(), task);
	sample->weight = ctx->sample_period;
	sample->where.kernel_bytes = 0;
	if (is_user_mode(&ctx->regs)) {
		fill_registers(&sample->where, &ctx->regs);
	} else {
		if (settings.kernel)
			sample->where.kernel_bytes =
				length_of(bpf_get_stack(ctx, room->stack, MAX_KERNEL_BYTES, 0));
		fill_entry_registers(&sample->where, task);
	}
	length = append_user_stack(&sample->where, room->stack, task);
	if (length > STACK_ROOM)
		return 0;
	if (bpf_ringbuf_output(&samples, room, sizeof(*sample) + length, wakeup(&samples)))
		lose(LOST_SAMPLES);
	return 0;
}
