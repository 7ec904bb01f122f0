// Takes down where a thread is: registers, kernel stack, used user stack.
#pragma once

// What follows a record's fixed part: frames of CPython, kernel addresses, then
// the user stack.
#define STACK_ROOM (MAX_PYTHON_BYTES + MAX_KERNEL_BYTES + MAX_USER_BYTES)

// Room to put records of a type together, one for each CPU; too large for the
// stack, and for a per-CPU map. Each type has its own, as the timer's program
// may interrupt the others.
#define ROOM(RECORD, NAME)                                                  \
	struct NAME##_room {                                                \
		RECORD record;                                              \
		__u8 stack[STACK_ROOM];                                     \
	};                                                                  \
	struct {                                                            \
		__uint(type, BPF_MAP_TYPE_ARRAY);                           \
		__uint(max_entries, 1);                                     \
		__type(key, __u32);                                         \
		__type(value, struct NAME##_room);                          \
	} NAME##_rooms SEC(".maps");                                        \
	static __always_inline struct NAME##_room *NAME##_room(void)        \
	{                                                                   \
		__u32 cpu = bpf_get_smp_processor_id();                     \
                                                                            \
		return bpf_map_lookup_elem(&NAME##_rooms, &cpu);            \
	}

// Where programs may be preempted, several may want room on a CPU.
#define ROOMS_PER_CPU 4

static __always_inline bool take_room(__u32 *busy)
{
#ifdef OLD_KERNEL
	// There, they are not.
	return true;
#else
	return !__sync_val_compare_and_swap(busy, 0, 1);
#endif
}

static __always_inline void leave_room(__u32 *busy)
{
#ifndef OLD_KERNEL
	__sync_lock_test_and_set(busy, 0);
#endif
}

// Takes the registers with which a thread entered the kernel.
static __always_inline void fill_entry_registers(struct where *where, struct task_struct *task)
{
	struct pt_regs regs;

	where->has_registers = 0;
	if (FIELD(task, flags) & PF_KTHREAD)
		return;
	if (!bpf_probe_read_kernel(&regs, sizeof(regs), entry_registers(task)))
		fill_registers(where, &regs);
}

#ifndef OLD_KERNEL
static long take_end(struct task_struct *task, struct vm_area_struct *area, __u64 *end)
{
	*end = area->vm_end;
	return 0;
}
#endif

// Bytes of a user stack that are worth copying: up to its end as far as the
// recorder knows it, or else to the end of the memory area that it is in. C libraries
// keep what they know of a thread at the end of its stack, from its thread pointer on:
// often more than all of its frames.
static __always_inline __u64 used_bytes(const struct where *where, struct task_struct *task)
{
	__u64 pointer = where->slots[SP_SLOT];
	__u32 tid = FIELD(task, pid);
	__u64 *known = bpf_map_lookup_elem(&stack_ends, &tid);
	__u64 end = known ? *known : 0, thread = thread_pointer(task);

#ifndef OLD_KERNEL
	if (end <= pointer)
		bpf_find_vma(task, pointer, take_end, &end, 0);
#endif
	if (pointer < thread && (thread < end || end <= pointer))
		end = thread;
	if (pointer < end && end - pointer < settings.stack_bytes)
		return end - pointer;
	return settings.stack_bytes;
}

// Copies the current thread's user stack to `to`, as far as there is one, without the
// pages that are not there: those of a frame that has not used all of its room, or
// that were swapped out. Returns the number of bytes up to the last one that was.
static __always_inline __u32 copy_user_stack(__u8 *to, struct where *where,
					     struct task_struct *task)
{
	__u64 from = where->slots[SP_SLOT], before = from & (PAGE - 1), wanted, at, part;

	where->user_holes = 0;
	where->user_bytes = 0;
	if (!where->has_registers)
		return 0;
	wanted = used_bytes(where, task);
	if (wanted > MAX_USER_BYTES)
		wanted = MAX_USER_BYTES;
	// Shows the verifier what the compiler knows, here and below.
	barrier_var(wanted);
	if (wanted > MAX_USER_BYTES)
		return 0;
	// Nearly always the end of the stack is known.
	if (!bpf_probe_read_user(to, wanted, (void *)from))
		return wanted;
	// The verifier looks at each page once for each way that those before may have
	// gone, unless nothing that it follows tells which one that was.
	for (int page = 0; page < MAX_USER_BYTES / PAGE; page++) {
		at = page ? page * PAGE - before : 0;
		part = page ? PAGE : PAGE - before;
		barrier_var(at);
		barrier_var(part);
		if (at > MAX_USER_BYTES - PAGE || part > PAGE || at >= wanted)
			break;
		if (bpf_probe_read_user(to + at, part, (void *)(from + at)))
			where->user_holes |= 1ull << page;
		else
			where->user_bytes = at + part;
	}
	part = where->user_bytes;
	return part < wanted ? part : wanted;
}

// Copies the user stack behind the kernel addresses that are there already;
// returns the number of bytes of both.
static __always_inline __u64 append_user_stack(struct where *where, __u8 *stack,
						struct task_struct *task)
{
	__u64 kernel = where->kernel_bytes;

	barrier_var(kernel);
	if (kernel > MAX_KERNEL_BYTES)
		return 0;
	where->user_bytes = copy_user_stack(stack + kernel, where, task);
	restore_function_callers(where, stack, task);
	return kernel + where->user_bytes;
}

// Length of a helper's answer, which is negative if it failed.
static __always_inline __u32 length_of(long answer)
{
	return answer > 0 && answer <= MAX_KERNEL_BYTES ? answer : 0;
}
