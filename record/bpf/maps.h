// State that the programs share, and small things that all of them do.
#pragma once

const volatile struct settings settings = {};

// Sizes of the maps are set by the recorder.

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

// Processes that are recorded, by thread group; of no use with settings.all.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} tracked SEC(".maps");

// Where threads' user stacks end, as far as the recorder found out.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} stack_ends SEC(".maps");

// A return address that a probe at a function's end has taken the place of.
struct kept_caller {
	__u64 at;			// on the stack; 0 for none
	__u64 address;
};

// A function that a thread has entered, and not left as far as that was seen.
struct entered {
	__u64 since;
	struct kept_caller caller;
	__u64 ip;			// of the probe
	__u64 args[6];
	__u32 function;
	__u32 unused;
};

// What a thread has entered, outermost first; goes away with it.
struct calling {
	__u32 depth;
	__u32 unused;
	__u64 credit;			// time in functions until the next stack
	struct kept_caller returned;	// of the last one that returned
	struct entered entered[MAX_DEPTH];
};

// What is known of a recorded thread; goes away with it.
struct thread {
	__u64 epoch;			// see struct total_key
	__u64 off_since;		// 0 while it runs
	__u64 ready_since;		// 0 while it runs or waits
	__u64 off_credit;		// time off the CPU until the next short wait is written
	__u64 call_since;		// 0 while it is in no call
	__u64 late_since;		// the same of a call that was found, not seen to begin
	__u64 call_credit;
	__u32 off_state;
	__u32 off_syscall;		// plus one
	__u64 off_queue;		// of its control group, on the CPU that it left
	__u64 off_throttled;		// for how long that had been throttled by then
	__u32 in_call;			// that has not returned
	__u32 call_number;
	__u32 late_number;
	__u32 calls_left_out;		// that the next one written stands for, too
	__u16 off_seen;
	__u64 stacks_until;		// the time that stacks of calls that must have one used up
	// Allocations: the function that the thread is in, if its return matters.
	__u64 alloc_sp;			// at its beginning; 0 for none
	__u64 alloc_size;
	__u64 alloc_old;		// what realloc was given
	__u64 alloc_to;			// where posix_memalign puts the address
	__u32 alloc_function;
	__u32 alloc_sampled;
	__u64 alloc_credit;		// bytes until the next one is sampled, plus one
	__u64 alloc_number;		// allocations so far
	__u64 alloc_since;		// when the slice of time began
	__u64 alloc_last;		// when it last did something
	struct heap_counts alloc_counts;
	// Of the function that the thread is in, and of one that this has called.
	struct kept_caller kept_callers[2];
	struct kept_caller returned;	// the last one that was awaited
	// The last probe that it came by.
	__u64 probe_ip;
	__u64 probe_sp;
	// What it is executing, until execve returns: the old image is gone then.
	__u64 exec_args[6];
	char program[MAX_PATH + 1];
};

#ifdef OLD_KERNEL
// By thread id. Allocating in the scheduler is not safe on these kernels: room
// is made before.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

// A new one, to start from: too large for the stack.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} no_thread SEC(".maps");
#else
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct calling);
} callings SEC(".maps");
#endif

static __always_inline void count_many(__u32 what, __u64 number)
{
	__u64 *count = bpf_map_lookup_elem(&counts, &what);

	if (count)
		__sync_fetch_and_add(count, number);
}

static __always_inline void lose(__u32 what)
{
	count_many(what, 1);
}

static __always_inline __u32 tracking_of(__u32 pid)
{
	__u32 *tracking;

	if (settings.all)
		return pid && pid != settings.self_pid ? LIVE : 0;
	tracking = bpf_map_lookup_elem(&tracked, &pid);
	return tracking ? *tracking : 0;
}

// What is known of a thread by now; NULL for nothing.
static __always_inline struct thread *known_thread(struct task_struct *task)
{
#ifdef OLD_KERNEL
	__u32 tid = FIELD(task, pid);

	return bpf_map_lookup_elem(&threads, &tid);
#else
	return bpf_task_storage_get(&threads, task, 0, 0);
#endif
}

// Begins to know a thread that is not known yet; NULL for want of room.
static __always_inline struct thread *new_thread(struct task_struct *task)
{
	struct thread *thread;
#ifdef OLD_KERNEL
	__u32 tid = FIELD(task, pid), only = 0;

	thread = bpf_map_lookup_elem(&no_thread, &only);
	if (thread)
		bpf_map_update_elem(&threads, &tid, thread, BPF_NOEXIST);
	thread = bpf_map_lookup_elem(&threads, &tid);
#else
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
#endif
	if (thread && !thread->epoch)
		thread->epoch = FIELD(task, start_time);
	if (!thread)
		lose(LOST_TOTALS);
	return thread;
}

// The thread's number may be another one's from now on.
static __always_inline void forget_thread(struct task_struct *task)
{
#ifdef OLD_KERNEL
	__u32 tid = FIELD(task, pid);

	bpf_map_delete_elem(&threads, &tid);
#endif
}

// What is known of a thread; NULL if it is not recorded.
static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *thread = known_thread(task);

	if (thread || tracking_of(FIELD(task, tgid)) != LIVE || FIELD(task, flags) & PF_KTHREAD)
		return thread;
	return new_thread(task);
}

// Whether the thread is over, and only waits for somebody to look at it.
static __always_inline bool is_dead(struct task_struct *task)
{
	return state_bits(task) & TASK_DEAD;
}

static __always_inline __u16 short_number(__u32 number_plus_one)
{
	return number_plus_one & COMPAT ? number_plus_one | SHORT_COMPAT : number_plus_one;
}

// Whether a record of `size` bytes fits into a ring now.
static __always_inline bool has_room(void *ring, __u64 size)
{
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return waiting + size + BPF_RINGBUF_HDR_SZ <= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
}

// Wakes the recorder before a ring runs full; otherwise it looks by itself.
static __always_inline __u64 wakeup(void *ring)
{
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return waiting > bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 4 ? BPF_RB_FORCE_WAKEUP
								       : BPF_RB_NO_WAKEUP;
}

static __always_inline void fill_head(struct head *head, __u32 kind, __u64 time,
				      struct task_struct *task)
{
	head->kind = kind;
	head->cpu = bpf_get_smp_processor_id();
	head->time = time;
	head->pid = FIELD(task, tgid);
	head->tid = FIELD(task, pid);
}

// Whether a short wait or call is to stand for the time since the last such
// one. Points are put on the thread's time at random distances of `threshold`
// on average, and whoever holds one is taken; returns what it stands for.
static __always_inline __u64 due(__u64 *credit, __u64 duration, __u64 threshold)
{
	__u64 weight = 0;

	for (int i = 0; i < 3; i++) {
		if (!*credit)
			// Half the threshold to one and a half.
			*credit = threshold / 2 + (threshold * (bpf_get_prandom_u32() >> 16) >> 16) + 1;
		if (*credit > duration) {
			*credit -= duration;
			break;
		}
		duration -= *credit;
		*credit = 0;
		weight += threshold;
	}
	return weight;
}
