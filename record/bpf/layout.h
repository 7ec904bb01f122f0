// What the programs share with the recorder: settings, and the records in the
// ring buffers. `record/src/bpf/layout.rs` says the same in Rust; all fields
// are naturally aligned, without holes.
#pragma once

// Set before the programs are loaded.
struct settings {
	__u32 self_pid;			// the recorder, which is never recorded
	__u32 all;			// record every process
	__u32 follow;			// record children
	__u32 kernel;			// record kernel stacks
	__u32 stack_bytes;		// most to copy of a user stack
	__u32 calls;			// system calls: 0 no, 1 totals, 2 every call
	__u32 call_stacks;		// 0 none, 1 in proportion to time, 2 all
	__u32 allocations;		// whether any are recorded
	__u32 threads;			// whether anything is to be known of threads
	__u32 data_bytes;		// most to copy of what calls read and write
	__u64 stack_threshold_ns;	// of waits and calls
	__u64 slower_than_ns;		// calls that take less are only counted
	__u64 alloc_interval;		// bytes between sampled allocations; 0 for all
	__u32 functions;		// whether calls of any are recorded
	__u32 unused;
};

// Set at any time.
struct control {
	__u32 thin;			// write one call in so many; 1 for all
	__u32 wait_scale;		// the threshold of waits times so much
	__u32 alloc_on;			// allocations are taken down
	__u32 ending;			// what is not over is being handed over
};

// What is said about a tracked process.
enum tracking {
	UNTIL_EXEC = 1,			// not yet: it has to execute its program
	LIVE = 2,
};

enum kind {
	// Beyond the numbers of perf's own records, which travel beside ours.
	KIND_SAMPLE = 0x1001,
	KIND_WAIT = 0x1002,
	KIND_CALL = 0x1003,
	KIND_ALLOCATION = 0x1004,
	KIND_HEAP_COUNTS = 0x1005,
	KIND_FAULT = 0x1006,		// laid out as a sample
	KIND_RAN = 0x1007,
	KIND_CALL_DATA = 0x1008,	// pieces, as the format has them
	KIND_FUNCTION_CALL = 0x1009,	// laid out as a call in full
};

// How much of a wait or call was seen.
#define SEEN_LATE 1
#define SEEN_UNFINISHED 2

// Values of the format's WaitState.
enum wait_state { PREEMPTED, SLEEPING, BLOCKED, IO, STOPPED, THROTTLED, MEMORY, GIL };

// Values of the format's TotalClass.
enum total_class { TOTAL_WAITS, TOTAL_CALLS, TOTAL_IO_URING, TOTAL_FUNCTIONS };

// Starts every record.
struct head {
	__u32 kind;
	__u32 cpu;
	__u64 time;
	__u32 pid;
	__u32 tid;
};

#define MAX_KERNEL_BYTES 1016		// 127 frames, as many as perf has
#define MAX_USER_BYTES 0x10000

// Where a thread was. Behind the record it is part of follow the frames of
// CPython, the kernel addresses and the bytes of the user stack.
struct where {
	__u32 has_registers;
	__u32 kernel_bytes;
	__u32 user_bytes;
	__u32 python_bytes;
	__u64 user_holes;		// pages of it that were not there, by bits
	__u64 slots[SLOTS];		// see the processor's types.h
};

// Where in a frame of CPython the stack of native frames goes on.
enum run_ends {
	RUN_ENDS_ALWAYS,		// each frame is evaluated by a call of its own
	RUN_ENDS_AT_ENTRY,		// at one that says so, the last of its run
	RUN_ENDS_AT_SHIM,		// behind the run, at one on the stack
};

// What is said about a process that runs CPython: where its version keeps what
// leads to the frames.
struct python {
	__u64 interpreters;		// address of the pointer to the first one
	__u64 gil;			// address of the lock; 0 if interpreters lead to it
	__u32 interpreter_gil;		// the pointer to it
	__u32 interpreter_next;
	__u32 interpreter_threads;
	__u32 thread_next;
	__u32 thread_id;
	__u32 thread_frame;		// 0 if the cframe has it
	__u32 thread_cframe;		// 0 if there is none
	__u32 cframe_frame;
	__u32 cframe_previous;
	__u32 frame_code;
	__u32 frame_previous;
	__u32 frame_instruction;
	__u32 frame_owner;		// or whether it is an entry
	__u32 frame_bytes;		// that have to be read of one
	__u32 run_ends;
	__u32 end_owner;		// of a shim
};

// All zero if this and what is behind it could not be taken down.
struct python_frame {
	__u64 code;			// the object; 0 for a shim
	__u64 instruction;		// as the version keeps it
	__u64 native;			// at the end of a run, if it is known: a place
					// on the stack of what evaluates it
};

#define MAX_PYTHON_FRAMES 512
#define MAX_PYTHON_BYTES (MAX_PYTHON_FRAMES * 24)
// What may be read of a frame; and where in it something may be.
#define PYTHON_FRAME_ROOM 128
#define PYTHON_FRAME_MASK 127

// How long a thread that ends has run by now, as the scheduler counts it, and the signal
// that ends it; 0 if none does.
struct ran {
	struct head head;
	__u64 ran;
	__u64 ready;
	__u64 runs;
	__u64 signal;
};

struct sample {
	struct head head;
	__u64 weight;
	struct where where;
};

struct wait {
	struct head head;
	__u64 duration;
	__u64 queued;
	__u64 weight;
	__u32 state;
	__u32 syscall_plus_one;
	__u32 seen;
	__u32 wanted_bytes;		// of a user stack that is still to be read
	__u64 runs;			// how often the thread has run by then
	struct where where;
};

#define MAX_PATH 255
#define MAX_ADDRESS 128

struct call {
	struct head head;
	__u64 start;
	__u64 duration;
	__s64 result;
	__u64 args[6];
	__u64 stack_weight;
	__u32 number;
	__u32 count;
	__u32 seen;
	__u16 text_len[2];		// bytes + 1; 0 for none
};

// A call with texts or a stack. Both texts follow, in fields of fixed size,
// then what belongs to `where`.
struct call_in_full {
	struct call call;
	struct where where;
	__u8 texts[2][MAX_PATH + 1];
};

// Added to the numbers of calls by the 32-bit interface, and what stands for it
// in a total's key.
#define COMPAT 0x40000000
#define SHORT_COMPAT 0x8000

// Which thread's waits or calls of which kind.
struct total_key {
	__u64 epoch;			// when it started, or executed its program
	__u32 tid;
	__u8 class;
	__u8 state;
	__u16 number_plus_one;		// with SHORT_COMPAT for COMPAT
};

#define BUCKETS 40

struct total {
	__u64 count;
	__u64 errors;
	__u64 total_ns;
	__u64 min_ns;
	__u64 max_ns;
	__u64 queued_ns;
	__u32 histogram[BUCKETS];
};

// What is read of a call's arguments when it returns.
enum capture { CAPTURE_NONE, CAPTURE_PATH, CAPTURE_ADDRESS_IN, CAPTURE_ADDRESS_OUT };

// Numbers that are known. Behind them is what to do about calls by the 32-bit
// interface, which has other numbers.
#define MAX_CALLS 512

struct call_info {
	__u8 wanted;
	__u8 args;			// how many it takes
	__u8 capture[2];
	__u8 arg[2];			// which argument
	__u8 len_arg[2];		// which one says, or points to, its length
};

// Most arguments of a call that data is copied of.
#define DATA_ARGUMENTS 3

enum data_kind { DATA_NONE, DATA_PLAIN, DATA_BUFFERS, DATA_MESSAGE };
enum data_when { DATA_ALWAYS, DATA_IF_SUCCEEDED, DATA_IF_FAILED };

// How many elements there are, if no argument says so.
#define DATA_LENGTH_ONE 6
#define DATA_LENGTH_RESULT 7

struct data_of {
	__u8 kind;
	__u8 arg;
	__u8 length;			// which argument says it
	__u8 when;
	__u16 size;			// of an element
	__u16 most;			// elements; 0 for settings.data_bytes
};

struct data_info {
	struct data_of of[DATA_ARGUMENTS];
};

// Functions whose calls are recorded, at most, and how deep in each other on a stack.
#define MAX_FUNCTIONS 256
#define MAX_DEPTH 64
#define MAX_TEXT 127

// What is read of a function's arguments, and of its result.
struct function_info {
	__u8 text_arg[2];		// plus one; 0 for none
	__u8 text_result;		// in which text, plus one; 0 for none
	__u8 stepped;			// the probed instruction takes a single step
};

// Functions of allocators, by what they take and give back. With a probe comes
// one of these.
enum alloc_function {
	ALLOC_MALLOC,			// size
	ALLOC_CALLOC,			// count, size
	ALLOC_REALLOC,			// old, size
	ALLOC_REALLOCARRAY,		// old, count, size
	ALLOC_ALIGNED,			// alignment, size
	ALLOC_VALLOC,			// size
	ALLOC_POSIX_MEMALIGN,		// where to put the address, alignment, size
	ALLOC_FREE,			// address
};

// Added to those that may do their work by calling another one.
#define MAY_CALL_ANOTHER 0x100
// Added if the probed instruction takes a single step.
#define STEPPED 0x200
// Added if there is a probe at the function's end, whatever this one says.
#define ALWAYS_AWAITED 0x400
// Calls from so many bytes before a probe to so many behind it are the
// allocator's own: 24 bits each.
#define OWN_BEFORE(cookie) ((cookie) >> 16 & 0xffffff)
#define OWN_BEHIND(cookie) ((cookie) >> 40)

// Values of the format's AllocationKind.
enum allocation_kind { FREED, FREED_BY_REALLOC, BY_MALLOC, BY_CALLOC, BY_REALLOC, BY_ALIGNED };

// Behind one of an object that was allocated follows its struct where.
struct allocation {
	struct head head;
	__u64 address;
	__u64 size;
	__u64 allocations;		// of the thread by then; 0 if all are recorded
	__u64 interval;
	__u32 kind;
	__u32 unused;
};

struct allocation_in_full {
	struct allocation allocation;
	struct where where;
};

// What a thread has allocated since it last said so.
struct heap_counts {
	__u64 allocations;
	__u64 bytes;
	__u64 frees;
	__u64 failed;
	__u32 sizes[BUCKETS];
};

struct heap_counts_record {
	struct head head;		// its time is that of the last of them
	struct heap_counts counts;
};

// How often probes were hit, of allocators and of functions.
enum hit { HIT_ENTRY, HIT_RETURN, HIT_STEPPED, HITS };

// What is counted per CPU: first, what could not be handed over.
enum count {
	LOST_SAMPLES,
	LOST_WAITS,
	LOST_CALLS,
	LOST_TOTALS,
	LOST_ALLOCATIONS,
	LOST_OBJECTS,			// for want of room in the table of them
	LOST_SKIPPED,			// calls whose end no program has seen
	LOST_FUNCTION_CALLS,
	LOST_DEEP_CALLS,		// of functions, deeper in each other than is kept
	NEW_TOTALS,			// rows of sums that were begun
	COUNTS
};
