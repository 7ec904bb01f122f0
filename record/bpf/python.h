// Frames of CPython: they lie on the heap, and are gone a moment later, so they
// are followed here. What they are called is asked by the recorder: a code object
// stays where it is.
#pragma once

// Processes that run it, by thread group. The recorder says so.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct python);
} pythons SEC(".maps");

// A new process has what the one that started it has, until it executes a
// program.
static __always_inline void inherit_python(__u32 parent, __u32 child)
{
	struct python *python = bpf_map_lookup_elem(&pythons, &parent);

	if (python)
		bpf_map_update_elem(&pythons, &child, python, BPF_ANY);
}

#ifdef OLD_KERNEL
// There are no loops that may be as long as this takes.
static __always_inline __u64 take_python_frames(__u8 *to, struct task_struct *task)
{
	return 0;
}
#else
// Threads of a process that are looked through for one.
#define MAX_PYTHON_THREADS 1024
// For how long a thread that was not found is not looked for again.
#define PYTHON_THREAD_PAUSE_NS 10000000

// What CPython knows a thread by.
struct python_thread {
	__u64 state;			// where its state is; 0 if it has none
	__u64 looked_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct python_thread);
} python_threads SEC(".maps");

// The word at an address; 0 if it cannot be read.
static __always_inline __u64 user_word(__u64 address)
{
	__u64 word = 0;

	if (bpf_probe_read_user(&word, sizeof(word), (void *)address))
		return 0;
	return word;
}

struct python_search {
	const struct python *python;
	__u64 interpreter;		// whose threads are looked through
	__u64 state;			// the one to look at
	__u64 wanted;
};

static long look_at_python_thread(__u32 index, struct python_search *search)
{
	const struct python *python = search->python;

	if (!search->state) {
		search->interpreter = user_word(search->interpreter + python->interpreter_next);
		if (!search->interpreter)
			return 1;
		search->state = user_word(search->interpreter + python->interpreter_threads);
		return 0;
	}
	if (user_word(search->state + python->thread_id) == search->wanted)
		return 1;
	search->state = user_word(search->state + python->thread_next);
	return 0;
}

// Where CPython keeps the state of the current thread, which it knows by its
// thread pointer; 0 if it does not know it.
static __always_inline __u64 find_python_thread(const struct python *python,
						struct task_struct *task)
{
	__u64 wanted = thread_pointer(task), now = bpf_ktime_get_ns();
	struct python_search search = { .python = python, .wanted = wanted };
	__u32 tid = FIELD(task, pid);
	struct python_thread *known = bpf_map_lookup_elem(&python_threads, &tid);
	struct python_thread found = { .looked_ns = now };

	if (known && known->state && user_word(known->state + python->thread_id) == wanted)
		return known->state;
	if (known && !known->state && now - known->looked_ns < PYTHON_THREAD_PAUSE_NS)
		return 0;
	search.interpreter = user_word(python->interpreters);
	if (!search.interpreter)
		return 0;
	search.state = user_word(search.interpreter + python->interpreter_threads);
	if (bpf_loop(MAX_PYTHON_THREADS, look_at_python_thread, &search, 0) < MAX_PYTHON_THREADS)
		found.state = search.state;
	bpf_map_update_elem(&python_threads, &tid, &found, BPF_ANY);
	return found.state;
}

struct python_walk {
	const struct python *python;
	__u8 *to;
	__u64 frame;			// the one to take down
	__u64 native;			// on the stack of what evaluates it, if that is known
	__u64 length;			// of what was taken down
};

static long take_python_frame(__u32 index, struct python_walk *walk)
{
	const struct python *python = walk->python;
	__u64 bytes = python->frame_bytes, code, instruction, previous, native = 0;
	struct python_frame *to;
	__u8 *frame, owner;

	if (!walk->frame || index >= MAX_PYTHON_FRAMES)
		return 1;
	to = (struct python_frame *)(walk->to + index * sizeof(*to));
	walk->length = (index + 1) * sizeof(*to);
	// It is put behind what is made of it.
	frame = (__u8 *)(to + 1);
	to->code = to->instruction = to->native = 0;
	if (bytes > PYTHON_FRAME_ROOM || index == MAX_PYTHON_FRAMES - 1 ||
	    bpf_probe_read_user(frame, bytes, (void *)walk->frame))
		return 1;
	code = *(__u64 *)(frame + (python->frame_code & PYTHON_FRAME_MASK));
	instruction = *(__u64 *)(frame + (python->frame_instruction & PYTHON_FRAME_MASK));
	previous = *(__u64 *)(frame + (python->frame_previous & PYTHON_FRAME_MASK));
	owner = frame[python->frame_owner & PYTHON_FRAME_MASK];

	if (python->run_ends == RUN_ENDS_AT_SHIM && owner == python->end_owner) {
		// The evaluating function's own, on its stack.
		native = walk->frame;
		code = instruction = 0;
	} else if (python->run_ends == RUN_ENDS_AT_ENTRY ? owner != 0
							  : python->run_ends == RUN_ENDS_ALWAYS) {
		native = walk->native;
		walk->native = native ? user_word(native + python->cframe_previous) : 0;
	}
	to->code = code;
	to->instruction = instruction;
	to->native = native;
	walk->frame = previous;
	return 0;
}

// Takes down the current thread's frames of CPython, if it has any; returns the
// number of bytes.
static __always_inline __u64 take_python_frames(__u8 *to, struct task_struct *task)
{
	__u32 pid = FIELD(task, tgid);
	const struct python *python = bpf_map_lookup_elem(&pythons, &pid);
	struct python_walk walk = { .to = to };
	__u64 state;

	if (!python)
		return 0;
	state = find_python_thread(python, task);
	if (!state)
		return 0;
	walk.python = python;
	if (python->thread_cframe)
		walk.native = user_word(state + python->thread_cframe);
	walk.frame = python->thread_frame ? user_word(state + python->thread_frame)
					  : user_word(walk.native + python->cframe_frame);
	bpf_loop(MAX_PYTHON_FRAMES, take_python_frame, &walk, 0);
	return walk.length;
}
#endif

// Begins what follows a record: with the current thread's frames of CPython.
// Returns their length, behind which the rest goes.
static __always_inline __u64 begin_stack(struct where *where, __u8 *to, struct task_struct *task)
{
	__u64 length = take_python_frames(to, task);

	barrier_var(length);
	if (length > MAX_PYTHON_BYTES)
		length = 0;
	where->python_bytes = length;
	return length;
}
