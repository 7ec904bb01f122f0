// What we use of the kernel's types, by name: offsets are filled in from the
// running kernel's BTF when the programs are loaded (CO-RE).
//
// The programs are compiled twice. OLD_KERNEL is for kernels from Linux 5.10 on
// that lack something of what the others are made of: task storage and typed
// current tasks (5.11), compare and exchange (5.12), registers of a task
// (5.15), lookups of memory areas (5.17); and for those that do not describe
// their types, where they come from a file. This file has what stands in for
// these; nothing else tells the two apart but where state is kept.
#pragma once

#define KERNEL_TYPE __attribute__((preserve_access_index))

#include "types.h"

#define PF_IO_WORKER 0x00000010
#define PF_MEMALLOC 0x00000800
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD 0x00200000
#define TASK_INTERRUPTIBLE 0x1
#define TASK_STOPPED 0x4
#define TASK_TRACED 0x8
#define TASK_DEAD 0x80
// Of an exit code, as wait(2) tells it.
#define SIGNAL_MASK 0x7f

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
} KERNEL_TYPE;

struct sched_info {
	unsigned long pcount;
	unsigned long long run_delay;
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

// Where such copies are, behind what awaited functions return to.
struct xol_area {
	unsigned long vaddr;
} KERNEL_TYPE;

struct uprobes_state {
	struct xol_area *xol_area;
} KERNEL_TYPE;

struct mm_struct {
	struct uprobes_state uprobes_state;
} KERNEL_TYPE;

// The queue of a control group on a CPU, without which there are no quotas.
struct cfs_rq {
	int throttle_count;
	__u64 throttled_clock_self_time;
} KERNEL_TYPE;

// Before Linux 6.6, and before 5.19.
struct cfs_rq___before {
	__u64 throttled_clock_pelt_time;
} KERNEL_TYPE;
struct cfs_rq___long_before {
	__u64 throttled_clock_task_time;
} KERNEL_TYPE;

struct sched_entity {
	__u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq;
} KERNEL_TYPE;

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	unsigned int __state;
	// Unsigned, so that it may have any size: an int before Linux 7.2.
	unsigned int on_cpu;
	unsigned in_iowait : 1;
	unsigned in_memstall : 1;
	struct sched_entity se;
	int pid;
	int tgid;
	int exit_code;
	__u64 start_time;
	struct sched_info sched_info;
	struct signal_struct *signal;
	struct sigpending pending;
	struct uprobe_task *utask;
	struct mm_struct *mm;
	void *stack;
	struct thread_struct thread;
} KERNEL_TYPE;

// Before Linux 5.14.
struct task_struct___before {
	long state;
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

#ifdef OLD_KERNEL
// Reads a field. The current task has no type that the kernel would check.
#define FIELD(POINTER, PATH) BPF_CORE_READ(POINTER, PATH)
#define BIT(POINTER, NAME) BPF_CORE_READ_BITFIELD_PROBED(POINTER, NAME)
#define TRACEPOINT "raw_tp/"

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline void *entry_registers(struct task_struct *task)
{
	return FIELD(task, stack) + KERNEL_STACK - sizeof(struct pt_regs);
}

// Takes a value and leaves zero. There is no exchange: who else may take it
// must be kept away.
static __always_inline __u64 take_value(__u64 *from)
{
	__u64 value = *from;

	*from = 0;
	return value;
}
#else
#define FIELD(POINTER, PATH) ((POINTER)->PATH)
#define BIT(POINTER, NAME) BPF_CORE_READ_BITFIELD(POINTER, NAME)
#define TRACEPOINT "tp_btf/"

static __always_inline struct task_struct *current_task(void)
{
	return bpf_get_current_task_btf();
}

static __always_inline void *entry_registers(struct task_struct *task)
{
	return (void *)bpf_task_pt_regs(task);
}

// Takes a value and leaves zero; who gets it has it alone.
static __always_inline __u64 take_value(__u64 *from)
{
	__u64 value = *from;

	return value && __sync_val_compare_and_swap(from, value, 0) == value ? value : 0;
}
#endif

// How many threads of a process have not ended.
static __always_inline int live_threads(struct task_struct *task)
{
	struct signal_struct *signal = FIELD(task, signal);

	return FIELD(signal, live.counter);
}

static __always_inline unsigned int state_bits(struct task_struct *task)
{
#ifdef OLD_KERNEL
	if (!bpf_core_field_exists(task->__state))
		return BPF_CORE_READ((struct task_struct___before *)task, state);
#endif
	return FIELD(task, __state);
}
