// What we use of the kernel's types, by name: offsets are filled in from the
// running kernel's BTF when the programs are loaded (CO-RE).
#pragma once

#define KERNEL_TYPE __attribute__((preserve_access_index))

#define PF_IO_WORKER 0x00000010
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD 0x00200000
#define TASK_INTERRUPTIBLE 0x1
#define TASK_STOPPED 0x4
#define TASK_TRACED 0x8
#define TASK_DEAD 0x80
// In a system call by the 32-bit interface.
#define TS_COMPAT 0x2
// Code segment of 32-bit programs on x86-64.
#define USER32_CS 0x23

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
} KERNEL_TYPE;

struct sched_info {
	unsigned long pcount;
} KERNEL_TYPE;

struct thread_info {
	__u32 status;
} KERNEL_TYPE;

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
} KERNEL_TYPE;

// A probed instruction that is executed elsewhere.
struct uprobe_task {
	unsigned long vaddr;
	unsigned long xol_vaddr;
} KERNEL_TYPE;

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	unsigned int __state;
	int on_cpu;
	unsigned in_iowait : 1;
	int pid;
	int tgid;
	__u64 start_time;
	struct sched_info sched_info;
	struct signal_struct *signal;
	struct sigpending pending;
	struct uprobe_task *utask;
} KERNEL_TYPE;

struct vm_area_struct {
	unsigned long vm_end;
} KERNEL_TYPE;

struct linux_binprm {
	const char *filename;
} KERNEL_TYPE;

struct io_kiocb {
	__u8 opcode;
} KERNEL_TYPE;

struct bpf_iter_meta {
	void *seq;
} KERNEL_TYPE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} KERNEL_TYPE;
