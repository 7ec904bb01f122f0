// What a thread's registers say.
#pragma once

#define PAGE 4096

static __always_inline bool is_user_mode(const struct pt_regs *regs)
{
	return (regs->cs & 3) == 3;
}

// Programs of 32 bits have other registers.
static __always_inline bool is_32_bit(const struct pt_regs *regs)
{
	return regs->cs == USER32_CS;
}

static __always_inline void fill_registers(struct where *where, const struct pt_regs *regs)
{
	__u64 *slots = where->slots;

	where->has_registers = !is_32_bit(regs);
	slots[0] = regs->rax;
	slots[1] = regs->rbx;
	slots[2] = regs->rcx;
	slots[3] = regs->rdx;
	slots[4] = regs->rsi;
	slots[5] = regs->rdi;
	slots[6] = regs->rbp;
	slots[SP_SLOT] = regs->rsp;
	slots[IP_SLOT] = regs->rip;
	slots[9] = regs->r8;
	slots[10] = regs->r9;
	slots[11] = regs->r10;
	slots[12] = regs->r11;
	slots[13] = regs->r12;
	slots[14] = regs->r13;
	slots[15] = regs->r14;
	slots[16] = regs->r15;
}

// What a thread is known by in user mode: where its own variables are.
static __always_inline __u64 thread_pointer(struct task_struct *task)
{
	return FIELD(task, thread.fsbase);
}
