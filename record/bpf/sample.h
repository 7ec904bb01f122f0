// CPU samples: on each tick of a CPU's timer, where the thread is that runs.
// Page faults, likewise: where the thread is that touches a page for the first
// time.
#pragma once

#define MAX_INSTRUCTION 16
#define TRAMPOLINE_BYTES 128
#define TRAMPOLINE_STACK 24

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

// Or the kernel does what they do, a push above all: takes a thread for which
// it has not done all of that back to before the instruction.
static __always_inline void leave_emulation(struct where *where, const struct thread *thread)
{
	if (where->slots[8] == thread->probe_ip && where->slots[7] + 8 == thread->probe_sp)
		where->slots[7] = thread->probe_sp;
}

// Whether a function is just returning to a caller: takes the thread there. The
// code that it goes through saves some registers on the stack.
static __always_inline bool leave_to(struct where *where, const struct kept_caller *caller)
{
	__u64 returned = caller->at + 8;

	if (!caller->at || returned - where->slots[7] > TRAMPOLINE_STACK)
		return false;
	where->slots[7] = returned;
	where->slots[8] = caller->address;
	return true;
}

// What a probe awaits returns to the kernel's own code in the process's memory,
// from where the thread goes on to its caller: takes it there.
static __always_inline void leave_trampoline(struct where *where, struct task_struct *task,
					     const struct thread *thread)
{
	struct mm_struct *memory = FIELD(task, mm);
	struct xol_area *area = memory ? FIELD(memory, uprobes_state.xol_area) : NULL;

	if (!area || where->slots[8] - FIELD(area, vaddr) >= TRAMPOLINE_BYTES)
		return;
	// The innermost first that has not gone on yet.
	if (!leave_to(where, &thread->kept_callers[1]) &&
	    !leave_to(where, &thread->kept_callers[0]))
		leave_to(where, &thread->returned);
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

// Sees a thread that probes have to do with as if there were none: the registers
// at first, and then the stack.
static __always_inline void leave_probes(struct where *where, struct task_struct *task,
					 const struct thread *thread)
{
	leave_copy(where, task);
	if (thread) {
		leave_emulation(where, thread);
		leave_trampoline(where, task, thread);
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
	struct thread *thread = settings.allocations ? known_thread(task) : NULL;
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
		leave_probes(&sample->where, task, thread);
	length = append_user_stack(&sample->where, stack, task);
	if (settings.allocations)
		hide_probes(&sample->where, stack, thread);
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
