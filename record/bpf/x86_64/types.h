// Sizes and types of the kernel that are x86-64's own.
#pragma once

// Registers of a thread, in the order of perf_regs.h, and which of them the
// stack and instruction pointers are.
#define SLOTS 17
#define SP_SLOT 7
#define IP_SLOT 8

// Code segment of 32-bit programs.
#define USER32_CS 0x23
// In a system call by the 32-bit interface.
#define TS_COMPAT 0x2

// Pages of a thread's kernel stack, whose end the registers are at with which
// it entered the kernel.
#define KERNEL_STACK (4 * 4096)

// The thread pointer, as of when the thread last left the CPU: it is set once.
struct thread_struct {
	unsigned long fsbase;
} KERNEL_TYPE;

struct thread_info {
	__u32 status;
} KERNEL_TYPE;
