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
static __always_inline __u64 take_python_frames(__u8 *to, struct task_struct *task, bool is_other)
{
	return 0;
}

static __always_inline bool waits_for_gil(struct task_struct *task, __u32 syscall_plus_one,
					  bool is_other)
{
	return false;
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

// Locks of that many interpreters are looked at.
#define MAX_GILS 16
// Length of a lock: it holds the condition that it is free, that another thread has
// taken it, and a mutex for each.
#define GIL_BYTES 208

// Whose frames are taken down.
struct of_thread {
	const struct python *python;
	struct task_struct *task;
};

// Reads memory of the current thread, or of another one, which takes a program that
// may sleep.
static __always_inline long read_of(const struct of_thread *of, bool is_other, void *to,
				    __u32 size, __u64 address)
{
	if (is_other)
		return bpf_copy_from_user_task(to, size, (void *)address, of->task, 0);
	return bpf_probe_read_user(to, size, (void *)address);
}

// The word at an address; 0 if it cannot be read.
static __always_inline __u64 word_of(const struct of_thread *of, bool is_other, __u64 address)
{
	__u64 word = 0;

	return read_of(of, is_other, &word, sizeof(word), address) ? 0 : word;
}

struct gil_search {
	struct of_thread of;
	__u64 interpreter;		// whose lock is looked at
	__u64 futex;			// what the thread sleeps on
	bool is_found;
};

static __always_inline long look_at_gil(struct gil_search *search, bool is_other)
{
	const struct python *python = search->of.python;
	__u64 gil = python->gil;

	if (!gil)
		gil = word_of(&search->of, is_other,
			      search->interpreter + python->interpreter_gil);
	search->is_found = gil && search->futex - gil < GIL_BYTES;
	if (search->is_found || python->gil)
		return 1;
	search->interpreter =
		word_of(&search->of, is_other, search->interpreter + python->interpreter_next);
	return !search->interpreter;
}

static long look_at_gil_of_this(__u32 index, struct gil_search *search)
{
	return look_at_gil(search, false);
}

static long look_at_gil_of_other(__u32 index, struct gil_search *search)
{
	return look_at_gil(search, true);
}

// Whether a thread that sleeps in a system call does so until CPython lets it run: if
// so, it is a futex that lies in a lock of an interpreter, and nothing else does. That
// is so wherever the C library has a condition sleep on its own memory, as glibc does;
// elsewhere, it is a futex like any other.
static __always_inline bool waits_for_gil(struct task_struct *task, __u32 syscall_plus_one,
					  bool is_other)
{
	__u32 pid = FIELD(task, tgid);
	const struct python *python;
	struct gil_search search = {};
	struct pt_regs regs;
	__u64 args[6];

	if (syscall_plus_one != FUTEX + 1)
		return false;
	python = bpf_map_lookup_elem(&pythons, &pid);
	if (!python || bpf_probe_read_kernel(&regs, sizeof(regs), entry_registers(task)))
		return false;
	call_arguments(args, &regs, false);
	search.of.python = python;
	search.of.task = task;
	search.futex = args[0];
	if (!python->gil)
		search.interpreter = word_of(&search.of, is_other, python->interpreters);
	if (!python->gil && !search.interpreter)
		return false;
	if (is_other)
		bpf_loop(MAX_GILS, look_at_gil_of_other, &search, 0);
	else
		bpf_loop(MAX_GILS, look_at_gil_of_this, &search, 0);
	return search.is_found;
}

struct python_search {
	struct of_thread of;
	__u64 interpreter;		// whose threads are looked through
	__u64 state;			// the one to look at
	__u64 wanted;
};

static __always_inline long look_at_thread(struct python_search *search, bool is_other)
{
	const struct python *python = search->of.python;
	__u64 state = search->state, interpreter = search->interpreter;

	if (!state) {
		interpreter = word_of(&search->of, is_other, interpreter + python->interpreter_next);
		if (!interpreter)
			return 1;
		search->interpreter = interpreter;
		search->state =
			word_of(&search->of, is_other, interpreter + python->interpreter_threads);
		return 0;
	}
	if (word_of(&search->of, is_other, state + python->thread_id) == search->wanted)
		return 1;
	search->state = word_of(&search->of, is_other, state + python->thread_next);
	return 0;
}

static long look_at_this_thread(__u32 index, struct python_search *search)
{
	return look_at_thread(search, false);
}

static long look_at_other_thread(__u32 index, struct python_search *search)
{
	return look_at_thread(search, true);
}

// Where CPython keeps the state of a thread, which it knows by its thread pointer;
// 0 if it does not know it.
static __always_inline __u64 find_python_thread(const struct of_thread *of, bool is_other)
{
	const struct python *python = of->python;
	__u64 wanted = thread_pointer(of->task), now = bpf_ktime_get_ns();
	struct python_search search = { .of = *of, .wanted = wanted };
	__u32 tid = FIELD(of->task, pid);
	struct python_thread *known = bpf_map_lookup_elem(&python_threads, &tid);
	struct python_thread found = { .looked_ns = now };
	long looked;

	if (known && known->state &&
	    word_of(of, is_other, known->state + python->thread_id) == wanted)
		return known->state;
	if (known && !known->state && now - known->looked_ns < PYTHON_THREAD_PAUSE_NS)
		return 0;
	search.interpreter = word_of(of, is_other, python->interpreters);
	if (!search.interpreter)
		return 0;
	search.state = word_of(of, is_other, search.interpreter + python->interpreter_threads);
	if (is_other)
		looked = bpf_loop(MAX_PYTHON_THREADS, look_at_other_thread, &search, 0);
	else
		looked = bpf_loop(MAX_PYTHON_THREADS, look_at_this_thread, &search, 0);
	if (looked < MAX_PYTHON_THREADS)
		found.state = search.state;
	bpf_map_update_elem(&python_threads, &tid, &found, BPF_ANY);
	return found.state;
}

struct python_walk {
	struct of_thread of;
	__u8 *to;
	__u64 frame;			// the one to take down
	__u64 native;			// on the stack of what evaluates it, if that is known
	__u64 length;			// of what was taken down
	__u64 read_from;		// what was read last: where it is in the process,
	__u64 read_bytes;		// and how much
};

// Reads a frame, if it was not read with another one. Where frames lie one behind the
// other, all that is in front of it on its page is read as well: that is there if the
// frame is. It is put where the user stack goes later. Returns NULL if it cannot be read.
static __always_inline __u8 *read_frame(struct python_walk *walk, bool is_other)
{
	const struct python *python = walk->of.python;
	__u64 bytes = python->frame_bytes, offset = walk->frame - walk->read_from, length;
	__u8 *room = walk->to + MAX_PYTHON_BYTES;

	if (bytes > PYTHON_FRAME_ROOM)
		return NULL;
	if (offset >= walk->read_bytes || offset + bytes > walk->read_bytes) {
		offset = python->run_ends == RUN_ENDS_ALWAYS ? 0 : walk->frame & (PAGE - 1);
		length = offset + bytes;
		walk->read_from = walk->frame - offset;
		walk->read_bytes = length;
		barrier_var(length);
		if (length > PAGE + PYTHON_FRAME_ROOM ||
		    read_of(&walk->of, is_other, room, length, walk->read_from))
			return NULL;
	}
	barrier_var(offset);
	return offset < PAGE ? room + offset : NULL;
}

static __always_inline long take_frame(__u32 index, struct python_walk *walk, bool is_other)
{
	const struct python *python = walk->of.python;
	__u64 code, instruction, previous, native = 0;
	struct python_frame *to;
	__u8 *frame, owner;

	if (!walk->frame || index >= MAX_PYTHON_FRAMES)
		return 1;
	to = (struct python_frame *)(walk->to + index * sizeof(*to));
	walk->length = (index + 1) * sizeof(*to);
	to->code = to->instruction = to->native = 0;
	frame = index == MAX_PYTHON_FRAMES - 1 ? NULL : read_frame(walk, is_other);
	if (!frame)
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
		if (native)
			walk->native =
				word_of(&walk->of, is_other, native + python->cframe_previous);
	}
	to->code = code;
	to->instruction = instruction;
	to->native = native;
	walk->frame = previous;
	return 0;
}

static long take_frame_of_this(__u32 index, struct python_walk *walk)
{
	return take_frame(index, walk, false);
}

static long take_frame_of_other(__u32 index, struct python_walk *walk)
{
	return take_frame(index, walk, true);
}

// Takes down a thread's frames of CPython, if it has any; returns the number of
// bytes.
static __always_inline __u64 take_python_frames(__u8 *to, struct task_struct *task, bool is_other)
{
	__u32 pid = FIELD(task, tgid);
	const struct python *python = bpf_map_lookup_elem(&pythons, &pid);
	struct python_walk walk = { .of = { .python = python, .task = task }, .to = to };
	__u64 state;

	if (!python)
		return 0;
	state = find_python_thread(&walk.of, is_other);
	if (!state)
		return 0;
	if (python->thread_cframe)
		walk.native = word_of(&walk.of, is_other, state + python->thread_cframe);
	walk.frame = python->thread_frame
			     ? word_of(&walk.of, is_other, state + python->thread_frame)
			     : word_of(&walk.of, is_other, walk.native + python->cframe_frame);
	if (is_other)
		bpf_loop(MAX_PYTHON_FRAMES, take_frame_of_other, &walk, 0);
	else
		bpf_loop(MAX_PYTHON_FRAMES, take_frame_of_this, &walk, 0);
	return walk.length;
}
#endif

// Begins what follows a record: with frames of CPython. Returns their length, behind
// which the rest goes.
static __always_inline __u64 begin_stack_of(struct where *where, __u8 *to,
					    struct task_struct *task, bool is_other)
{
	__u64 length = take_python_frames(to, task, is_other);

	barrier_var(length);
	if (length > MAX_PYTHON_BYTES)
		length = 0;
	where->python_bytes = length;
	return length;
}

// The same for the current thread.
static __always_inline __u64 begin_stack(struct where *where, __u8 *to, struct task_struct *task)
{
	return begin_stack_of(where, to, task, false);
}
