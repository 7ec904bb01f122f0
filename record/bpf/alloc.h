// Allocations of processes that run already: probes at functions of their
// allocators. A probe at the end of a function costs half as much again as one
// at its beginning, so it is set only where something is to be learnt from it,
// call by call: the first program's result decides (sessions, Linux 6.13).
// Where there is no such thing, functions that allocate have both at each call.
//
//   ──┤ entry: size, is it to be recorded? ├── … ──┤ return: address, stack ├──
#pragma once

#define MAX_SIZE_WITHOUT_RETURN (1 << 20)
#define SLICE_NS 10000000
#define LN_2 2977044472ULL			// times 2^32

struct allocation_room {
	__u32 busy;
	__u32 unused;
	struct allocation_in_full record;
	__u8 stack[STACK_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct allocation_room);
} allocation_rooms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} allocations SEC(".maps");

struct object_key {
	__u64 address;
	__u32 pid;
	__u32 unused;
};

// Objects whose allocation was sampled, with their sizes.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct object_key);
	__type(value, __u64);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HITS);
	__type(key, __u32);
	__type(value, __u64);
} alloc_hits SEC(".maps");

static __always_inline void count_hit(__u32 which)
{
	__u64 *count = bpf_map_lookup_elem(&alloc_hits, &which);

	if (count)
		__sync_fetch_and_add(count, 1);
}

// An exponentially distributed number with the given mean, below 2^32, rounded
// down: -ln(u) is ln 2 for each time that u can be doubled and stay below 1,
// and for the rest, m = 1 - b / 2^33, it is 2 artanh z with z = (1 - m) / (1 + m)
// <= 1/3, a series of which eight terms are precise to 2^-29.
static __always_inline __u64 exponential(__u64 mean)
{
	__u32 a = bpf_get_prandom_u32(), b = bpf_get_prandom_u32();
	__u64 z = ((__u64)b << 32) / ((1ULL << 34) - b), square = z * z >> 32;
	__u64 halvings = a ? 31 - log2_of(a) : 32, sum = 0, log;

#pragma unroll
	for (int n = 15; n > 0; n -= 2)
		sum = (sum * square >> 32) + (1ULL << 32) / n;
	log = halvings * LN_2 + 2 * (sum * z >> 32);
	return (log >> 32) * mean + ((log & 0xffffffff) * mean >> 32);
}

// Whether an allocation is to be recorded: one of the points is on it that are
// put on the thread's bytes, at random distances.
static __always_inline bool is_sampled(struct thread *thread, __u64 size)
{
	__u64 credit;

	if (!settings.alloc_interval)
		return true;
	credit = thread->alloc_credit ? thread->alloc_credit - 1
				      : exponential(settings.alloc_interval);
	if (size > credit) {
		thread->alloc_credit = exponential(settings.alloc_interval) + 1;
		return true;
	}
	thread->alloc_credit = credit - size + 1;
	return false;
}

// Hands over the counts; returns whether there was room.
static __always_inline bool hand_over_counts(struct task_struct *task, struct thread *thread)
{
	struct heap_counts *counts = &thread->alloc_counts;
	struct heap_counts_record *record;

	if (!counts->allocations && !counts->frees && !counts->failed)
		return true;
	record = bpf_ringbuf_reserve(&allocations, sizeof(*record), 0);
	if (!record)
		return false;
	fill_head(&record->head, KIND_HEAP_COUNTS, thread->alloc_last, task);
	record->counts = *counts;
	bpf_ringbuf_submit(record, wakeup(&allocations));
	__builtin_memset(counts, 0, sizeof(*counts));
	return true;
}

// Begins to count something: in a new slice if the last one is over. Where
// there is no room, that one goes on.
static __always_inline void begin_counting(struct task_struct *task, struct thread *thread,
					   __u64 now)
{
	if (now - thread->alloc_since >= SLICE_NS && hand_over_counts(task, thread))
		thread->alloc_since = now;
	thread->alloc_last = now;
}

static __always_inline void count_allocation(struct task_struct *task, struct thread *thread,
					     __u64 size, __u64 now)
{
	struct heap_counts *counts = &thread->alloc_counts;
	__u32 bucket = log2_of(size);

	begin_counting(task, thread, now);
	thread->alloc_number++;
	counts->allocations++;
	counts->bytes += size;
	if (bucket < BUCKETS)
		counts->sizes[bucket]++;
}

static __always_inline void describe_allocation(struct allocation *allocation,
						struct task_struct *task, __u32 kind,
						__u64 address, __u64 now)
{
	fill_head(&allocation->head, KIND_ALLOCATION, now, task);
	allocation->kind = kind;
	allocation->address = address;
	allocation->size = 0;
	allocation->allocations = 0;
	allocation->interval = settings.alloc_interval;
	allocation->unused = 0;
}

// Forgets an object of which it is known that it was allocated; returns whether
// that it is freed is to be reported.
static __always_inline bool take_object(struct task_struct *task, __u64 address)
{
	struct object_key key = { .address = address, .pid = FIELD(task, tgid) };

	return !settings.alloc_interval || !bpf_map_delete_elem(&objects, &key);
}

static __always_inline void report_free(struct task_struct *task, __u32 kind, __u64 address,
					__u64 now)
{
	struct allocation *allocation;

	if (!take_object(task, address))
		return;
	allocation = bpf_ringbuf_reserve(&allocations, sizeof(*allocation), 0);
	if (!allocation) {
		lose(LOST_ALLOCATIONS);
		return;
	}
	describe_allocation(allocation, task, kind, address, now);
	bpf_ringbuf_submit(allocation, wakeup(&allocations));
}

static __always_inline struct allocation_room *allocation_room(void)
{
	__u32 first = bpf_get_smp_processor_id() * ROOMS_PER_CPU;

#pragma unroll
	for (int i = 0; i < ROOMS_PER_CPU; i++) {
		__u32 at = first + i;
		struct allocation_room *room = bpf_map_lookup_elem(&allocation_rooms, &at);

		if (room && take_room(&room->busy))
			return room;
	}
	return NULL;
}

// Reports an object that the function which is just returning has allocated,
// with the stack of its caller: that is where the registers are already.
static __always_inline void report_allocation(struct pt_regs *ctx, struct task_struct *task,
					      struct thread *thread, __u32 kind, __u64 address,
					      __u64 size, __u64 now)
{
	struct object_key key = { .address = address, .pid = FIELD(task, tgid) };
	struct allocation_in_full *record;
	struct allocation_room *room;
	__u64 length;

	// One that could not be freed would look like a leak.
	if (settings.alloc_interval && bpf_map_update_elem(&objects, &key, &size, BPF_ANY)) {
		lose(LOST_OBJECTS);
		return;
	}
	room = allocation_room();
	if (!room) {
		lose(LOST_ALLOCATIONS);
		return;
	}
	record = &room->record;
	describe_allocation(&record->allocation, task, kind, address, now);
	record->allocation.size = size;
	if (settings.alloc_interval)
		record->allocation.allocations = thread->alloc_number;
	fill_registers(&record->where, ctx);
	// Into the call, which may be the last thing that the caller does.
	record->where.slots[IP_SLOT]--;
	record->where.kernel_bytes = 0;
	length = begin_stack(&record->where, room->stack, task);
	length += append_user_stack(&record->where, room->stack + length, task);
	if (length <= STACK_ROOM &&
	    bpf_ringbuf_output(&allocations, record, sizeof(*record) + length,
			       wakeup(&allocations)))
		lose(LOST_ALLOCATIONS);
	leave_room(&room->busy);
}

static __always_inline __u64 product(__u64 a, __u64 b)
{
	// What is too large is so for the allocator, too.
	bool fits = !((a | b) >> 48) && !(a >> 32 && b >> 16) && !(b >> 32 && a >> 16);

	return fits ? a * b : ~0ULL;
}

static __always_inline __u64 size_of(const struct pt_regs *ctx, __u32 function)
{
	switch (function) {
	case ALLOC_CALLOC:
		return product(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
	case ALLOC_REALLOCARRAY:
		return product(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx));
	case ALLOC_REALLOC:
	case ALLOC_ALIGNED:
		return PT_REGS_PARM2(ctx);
	case ALLOC_POSIX_MEMALIGN:
		return PT_REGS_PARM3(ctx);
	default:
		return PT_REGS_PARM1(ctx);
	}
}

static __always_inline bool is_realloc(__u32 function)
{
	return function == ALLOC_REALLOC || function == ALLOC_REALLOCARRAY;
}

static __always_inline __u32 kind_of(__u32 function)
{
	switch (function) {
	case ALLOC_MALLOC:
		return BY_MALLOC;
	case ALLOC_CALLOC:
		return BY_CALLOC;
	case ALLOC_REALLOC:
	case ALLOC_REALLOCARRAY:
		return BY_REALLOC;
	default:
		return BY_ALIGNED;
	}
}

// Whether a function is called by a part of the allocator.
static __always_inline bool is_own_call(struct pt_regs *ctx, __u64 cookie)
{
	__u64 before = OWN_BEFORE(cookie), caller;

	if (!before && !OWN_BEHIND(cookie))
		return false;
	if (!return_address(ctx, &caller))
		return false;
	return caller - (PT_REGS_IP(ctx) - before) <= before + OWN_BEHIND(cookie);
}

// Takes down what a function is asked for. Returns whether how it returns is
// of no interest.
static __always_inline int on_begin(struct pt_regs *ctx, struct task_struct *task,
				    struct thread *thread, __u64 cookie)
{
	__u64 now = bpf_ktime_get_ns(), size;
	__u32 function = cookie & 0xff;
	bool awaited = cookie & MAY_CALL_ANOTHER, sampled = false;

	// Called by the function that the thread is in. If an exception has left
	// that one, the stack pointer is higher now.
	if (thread->alloc_sp && PT_REGS_SP(ctx) <= thread->alloc_sp) {
		// If it was jumped to, it returns where that one would.
		if (cookie & ALWAYS_AWAITED && PT_REGS_SP(ctx) != thread->kept_callers[0].at)
			keep_caller(ctx, &thread->kept_callers[1]);
		return 1;
	}
	thread->alloc_sp = 0;
	if (function == ALLOC_FREE) {
		if (!PT_REGS_PARM1(ctx) || is_own_call(ctx, cookie))
			return 1;
		begin_counting(task, thread, now);
		thread->alloc_counts.frees++;
		report_free(task, FREED, PT_REGS_PARM1(ctx), now);
	} else {
		size = size_of(ctx, function);
		sampled = is_sampled(thread, size);
		awaited |= sampled || size > MAX_SIZE_WITHOUT_RETURN;
		if (!awaited)
			count_allocation(task, thread, size, now);
		thread->alloc_size = size;
		thread->alloc_to = PT_REGS_PARM1(ctx);
	}
	// It may be allocated by another thread before this one returns, so it is
	// reported now. If realloc fails, its object lives on unseen.
	thread->alloc_old = is_realloc(function) ? PT_REGS_PARM1(ctx) : 0;
	if (thread->alloc_old)
		report_free(task, FREED_BY_REALLOC, thread->alloc_old, now);
	thread->alloc_function = function;
	thread->alloc_sampled = sampled;
	thread->alloc_sp = awaited ? PT_REGS_SP(ctx) : 0;
	if (awaited || cookie & ALWAYS_AWAITED)
		keep_caller(ctx, &thread->kept_callers[0]);
	return !awaited;
}

static __always_inline void on_end(struct pt_regs *ctx, struct task_struct *task,
				   struct thread *thread)
{
	__u64 now = bpf_ktime_get_ns(), address = PT_REGS_RC(ctx), size = thread->alloc_size;
	__u32 function = thread->alloc_function;

	if (!thread->alloc_sp || PT_REGS_SP(ctx) != thread->alloc_sp + RETURN_BYTES)
		return;
	thread->alloc_sp = 0;
	if (function == ALLOC_FREE)
		return;
	if (function == ALLOC_POSIX_MEMALIGN &&
	    ((__u32)address || bpf_probe_read_user(&address, sizeof(address),
						   (void *)thread->alloc_to)))
		address = 0;
	if (thread->alloc_old && (address || !size)) {
		begin_counting(task, thread, now);
		thread->alloc_counts.frees++;
	}
	if (address) {
		count_allocation(task, thread, size, now);
		if (thread->alloc_sampled)
			report_allocation(ctx, task, thread, kind_of(function), address, size, now);
	} else if (size || !thread->alloc_old) {
		begin_counting(task, thread, now);
		thread->alloc_counts.failed++;
	}
}

// The thread that is at a probe, if its allocations are recorded.
static __always_inline struct thread *recorded_thread(struct pt_regs *ctx,
						      struct task_struct *task)
{
	__u32 only = 0;
	struct control *values = bpf_map_lookup_elem(&control, &only);
	struct thread *thread;

	if (!values || !values->alloc_on || is_32_bit(ctx))
		return NULL;
	thread = thread_of(task);
	if (!thread && tracking_of(FIELD(task, tgid)) == LIVE)
		lose(LOST_ALLOCATIONS);
	return thread;
}

static __always_inline int at_begin(struct pt_regs *ctx, __u64 cookie)
{
	struct task_struct *task = current_task();
	struct thread *thread;

	count_hit(cookie & STEPPED ? HIT_STEPPED : HIT_ENTRY);
	thread = recorded_thread(ctx, task);
	if (!thread)
		return 1;
	thread->probe_ip = PT_REGS_IP(ctx);
	thread->probe_sp = PT_REGS_SP(ctx);
	return on_begin(ctx, task, thread, cookie);
}

static __always_inline int at_end(struct pt_regs *ctx)
{
	struct task_struct *task = current_task();
	struct thread *thread;

	count_hit(HIT_RETURN);
	thread = recorded_thread(ctx, task);
	if (thread) {
		on_end(ctx, task, thread);
		forget_callers(thread, PT_REGS_SP(ctx));
	}
	return 0;
}

#ifdef OLD_KERNEL
// Probes cannot be given anything that tells them apart (Linux 5.15), so that
// there are as many programs as different probes.
#define MAX_PROBES 24

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PROBES);
	__type(key, __u32);
	__type(value, __u64);
} probe_cookies SEC(".maps");

static __noinline int at_begin_of(struct pt_regs *ctx, __u32 probe)
{
	__u64 *cookie = bpf_map_lookup_elem(&probe_cookies, &probe);

	if (cookie)
		at_begin(ctx, *cookie);
	return 0;
}

#define PROBE(N)                                     \
	SEC("uprobe")                                \
	int on_begin_##N(struct pt_regs *ctx)        \
	{                                            \
		return at_begin_of(ctx, N);          \
	}
PROBE(0) PROBE(1) PROBE(2) PROBE(3) PROBE(4) PROBE(5) PROBE(6) PROBE(7)
PROBE(8) PROBE(9) PROBE(10) PROBE(11) PROBE(12) PROBE(13) PROBE(14) PROBE(15)
PROBE(16) PROBE(17) PROBE(18) PROBE(19) PROBE(20) PROBE(21) PROBE(22) PROBE(23)
#else
// At the beginning of a function of an allocator, and at its end.
SEC("uprobe.session")
int on_allocator(struct pt_regs *ctx)
{
	return PT_REGS_IP(ctx) == bpf_get_func_ip(ctx) ? at_begin(ctx, bpf_get_attach_cookie(ctx))
						: at_end(ctx);
}

// The same by two probes.
SEC("uprobe")
int on_begin_probed(struct pt_regs *ctx)
{
	at_begin(ctx, bpf_get_attach_cookie(ctx));
	return 0;
}
#endif

SEC("uretprobe")
int on_end_probed(struct pt_regs *ctx)
{
	return at_end(ctx);
}

// The thread's process executes another program.
static __always_inline void forget_allocator(struct task_struct *task, struct thread *thread)
{
	if (!hand_over_counts(task, thread))
		lose(LOST_ALLOCATIONS);
	thread->alloc_sp = 0;
	forget_callers(thread, ~0ULL);
}

static __always_inline void last_allocations(struct task_struct *task)
{
	struct thread *thread = known_thread(task);

	if (thread && !hand_over_counts(task, thread))
		lose(LOST_ALLOCATIONS);
}

// At the end: hands over the counts; 1 as for waits.
SEC("iter/task")
int find_counts(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread *thread = task ? known_thread(task) : NULL;

	return thread && !hand_over_counts(task, thread);
}
