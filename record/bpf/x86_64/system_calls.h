// Numbers and arguments of system calls.
#pragma once

#define CONNECT 42
#define EXECVE 59
#define FUTEX 202
#define EXECVEAT 322

// Whether a thread is in a system call by the 32-bit interface.
static __always_inline bool is_compat(struct task_struct *task)
{
	return FIELD(task, thread_info.status) & TS_COMPAT;
}

// Where the number is of the system call that a thread is in, in the registers
// with which it entered the kernel. Interrupts and exceptions leave -1 there.
static __always_inline const void *entry_call_number(struct task_struct *task)
{
	struct pt_regs *regs = entry_registers(task);

	return &regs->orig_rax;
}

// What a system call is given, at most six words.
static __always_inline void call_arguments(__u64 args[6], const struct pt_regs *regs, bool compat)
{
	args[0] = compat ? regs->rbx : regs->rdi;
	args[1] = compat ? regs->rcx : regs->rsi;
	args[2] = regs->rdx;
	args[3] = compat ? regs->rsi : regs->r10;
	args[4] = compat ? regs->rdi : regs->r8;
	args[5] = compat ? regs->rbp : regs->r9;
}
