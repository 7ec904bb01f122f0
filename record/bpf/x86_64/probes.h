// What probes do to a thread, and how to see it as if there were none. A call
// leaves its return address on the stack, where the kernel puts its own in place
// of it while a function's end is awaited.
#pragma once

// How far a return moves the stack pointer, and a push the other way.
#define RETURN_BYTES 8
#define PUSH_BYTES 8
#define MAX_INSTRUCTION 16
#define TRAMPOLINE_BYTES 128
#define TRAMPOLINE_STACK 24

// Where a function returns to, at its beginning; false if that cannot be read.
static __always_inline bool return_address(const struct pt_regs *ctx, __u64 *address)
{
	return !bpf_probe_read_user(address, sizeof(*address), (void *)ctx->rsp);
}

// Takes down where a function returns to: while it is awaited, the kernel's own
// address stands there.
static __always_inline void keep_caller(const struct pt_regs *ctx, struct kept_caller *kept)
{
	kept->at = 0;
	if (return_address(ctx, &kept->address))
		kept->at = ctx->rsp;
}

// Those functions have returned whose return addresses were below `sp`.
static __always_inline void forget_callers(struct thread *thread, __u64 sp)
{
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct kept_caller *kept = &thread->kept_callers[i];

		if (kept->at + RETURN_BYTES == sp)
			thread->returned = *kept;
		if (kept->at < sp)
			kept->at = 0;
	}
}

// Instructions with a probe are executed as copies: takes a thread that is at
// one back to where it seems to be.
static __always_inline void leave_copy(struct where *where, struct task_struct *task)
{
	struct uprobe_task *copy = FIELD(task, utask);
	__u64 at = where->slots[IP_SLOT];

	if (copy && at - FIELD(copy, xol_vaddr) < MAX_INSTRUCTION)
		where->slots[IP_SLOT] = FIELD(copy, vaddr) + (at - FIELD(copy, xol_vaddr));
}

// Or the kernel does what they do, a push above all: takes a thread for which
// it has not done all of that back to before the instruction.
static __always_inline void leave_emulation(struct where *where, const struct thread *thread)
{
	if (where->slots[IP_SLOT] == thread->probe_ip &&
	    where->slots[SP_SLOT] + PUSH_BYTES == thread->probe_sp)
		where->slots[SP_SLOT] = thread->probe_sp;
}

// Whether a function is just returning to a caller: takes the thread there. The
// code that it goes through saves some registers on the stack.
static __always_inline bool leave_to(struct where *where, const struct kept_caller *caller)
{
	__u64 returned = caller->at + RETURN_BYTES;

	if (!caller->at || returned - where->slots[SP_SLOT] > TRAMPOLINE_STACK)
		return false;
	where->slots[SP_SLOT] = returned;
	where->slots[IP_SLOT] = caller->address;
	return true;
}

// Whether an address is of the kernel's own code in the process's memory, where functions
// return to that are awaited.
static __always_inline bool is_trampoline(struct task_struct *task, __u64 address)
{
	struct mm_struct *memory = FIELD(task, mm);
	struct xol_area *area = memory ? FIELD(memory, uprobes_state.xol_area) : NULL;

	return area && address - FIELD(area, vaddr) < TRAMPOLINE_BYTES;
}

// What a probe awaits returns to the kernel's own code in the process's memory,
// from where the thread goes on to its caller: takes it there.
static __always_inline void leave_trampoline(struct where *where, struct task_struct *task,
					     const struct thread *thread)
{
	if (!is_trampoline(task, where->slots[IP_SLOT]))
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
	__u64 kernel = where->kernel_bytes, offset = kept->at - where->slots[SP_SLOT];
	__u64 length = where->user_bytes;

	if (!kept->at || kernel > MAX_KERNEL_BYTES || length < sizeof(__u64) ||
	    offset > length - sizeof(__u64) || offset > MAX_USER_BYTES - sizeof(__u64))
		return;
	bpf_probe_read_kernel(stack + kernel + offset, sizeof(__u64), &kept->address);
}

#ifndef OLD_KERNEL
// The same of functions whose calls are recorded.
static __always_inline void leave_function_trampoline(struct where *where,
						      struct task_struct *task)
{
	struct calling *calling;
	__u32 depth;

	if (!settings.functions || !is_trampoline(task, where->slots[IP_SLOT]))
		return;
	calling = bpf_task_storage_get(&callings, task, 0, 0);
	if (!calling)
		return;
	depth = calling->depth;
	if (!depth || !leave_to(where, &calling->entered[(depth - 1) % MAX_DEPTH].caller))
		leave_to(where, &calling->returned);
}

static __always_inline void restore_function_callers(struct where *where, __u8 *stack,
						     struct task_struct *task)
{
	struct calling *calling;

	if (!settings.functions)
		return;
	calling = bpf_task_storage_get(&callings, task, 0, 0);
	if (!calling)
		return;
	for (int i = 0; i < MAX_DEPTH; i++) {
		if (i >= calling->depth)
			break;
		restore_caller(where, stack, &calling->entered[i].caller);
	}
}

// What a function is given in registers for integers.
static __always_inline void function_arguments(__u64 args[6], const struct pt_regs *ctx)
{
	args[0] = ctx->rdi;
	args[1] = ctx->rsi;
	args[2] = ctx->rdx;
	args[3] = ctx->rcx;
	args[4] = ctx->r8;
	args[5] = ctx->r9;
}
#else
static __always_inline void leave_function_trampoline(struct where *where,
						      struct task_struct *task)
{
}

static __always_inline void restore_function_callers(struct where *where, __u8 *stack,
						     struct task_struct *task)
{
}
#endif
