// What system calls are given and give back, for `rec --syscall-data`. Programs of its
// own hand it over just before the call that it belongs to, so that those of calls are
// the same with it and without.
//
// All is read when the call returns: what it was given is in memory by then, and in most
// cases still the same. Of execve nothing is left then; its words are read at the start.
#pragma once

// Besides, each piece has a head.
#define PIECE_HEAD 4
#define MAX_PIECE 4096
// What pieces may take in all; the last one may reach beyond.
#define DATA_BYTES 0x4000
#define DATA_ROOM (DATA_BYTES + 2 * (PIECE_HEAD + MAX_PIECE))
#define EXEC_BYTES 0x2000
#define MAX_BUFFERS 16
// One more than are shown, so that it is known whether there are more.
#define MAX_WORDS 33
#define MAX_ENVIRONMENT 256

// What is put together of one call. All that changes on the way is here: of what it reads
// from a map, the verifier remembers nothing, and so does not look at loops once for each
// way that those before may have gone.
struct data_room {
	__u32 busy;
	__u32 at;			// where the next piece begins
	__u8 arg;			// of which argument it is
	__u8 element;
	__u16 unused;
	__u32 count;			// of elements that are left
	__u64 left;			// bytes that buffers may still hold
	__u64 args[6];
	struct head head;
	__u8 bytes[DATA_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct data_room);
} data_rooms SEC(".maps");

// What a process is executing, by its number: that of a thread changes with it. Until it
// is handed over, its time is its length.
struct exec_data {
	struct head head;
	__u8 bytes[EXEC_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_data);
} executing SEC(".maps");

// What there is to be had of each call.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CALLS);
	__type(key, __u32);
	__type(value, struct data_info);
} data_infos SEC(".maps");

// Takes a room; returns its number, or a negative one if all are taken.
static __always_inline int take_data_room(void)
{
	__u32 first = bpf_get_smp_processor_id() * ROOMS_PER_CPU;

#pragma unroll
	for (int i = 0; i < ROOMS_PER_CPU; i++) {
		__u32 at = first + i;
		struct data_room *room = bpf_map_lookup_elem(&data_rooms, &at);

		if (room && take_room(&room->busy)) {
			room->at = 0;
			return at;
		}
	}
	return -1;
}

static __always_inline void end_piece(struct data_room *room, __u64 bytes)
{
	__u64 at = room->at;

	// Shows the verifier what the compiler knows, here and below.
	barrier_var(at);
	if (at > DATA_BYTES)
		return;
	room->bytes[at] = room->arg;
	room->bytes[at + 1] = room->element;
	room->bytes[at + 2] = bytes;
	room->bytes[at + 3] = bytes >> 8;
	room->at = at + PIECE_HEAD + bytes;
}

// Adds what is at an address, up to as many bytes.
static __always_inline void add_bytes(struct data_room *room, __u64 from, __u64 bytes)
{
	__u64 at = room->at;

	barrier_var(at);
	barrier_var(bytes);
	if (at > DATA_BYTES || !from)
		return;
	if (bytes > MAX_PIECE)
		bytes = MAX_PIECE;
	if (!bpf_probe_read_user(room->bytes + at + PIECE_HEAD, bytes, (void *)from))
		end_piece(room, bytes);
}

// Adds a word that ends with a zero: that too, if there is room for it.
static __always_inline void add_word(struct data_room *room, __u64 from)
{
	__u64 most = settings.data_bytes + 1, at = room->at;
	long read;

	barrier_var(at);
	barrier_var(most);
	if (at > DATA_BYTES || most > MAX_PIECE + 1)
		return;
	// One byte more, as what is read always ends with a zero.
	read = bpf_probe_read_user_str(room->bytes + at + PIECE_HEAD, most + 1, (void *)from);
	if (read > 0)
		end_piece(room, read > most ? most : read);
}

static __always_inline __u64 smaller(__u64 one, __u64 other)
{
	return one < other ? one : other;
}

// Adds the buffers of an array of struct iovec. Like others below, a function that the
// verifier looks at once, whoever calls it: it is given nothing but numbers.
__attribute__((noinline)) int add_buffers(__u32 room_at, __u64 from)
{
	struct data_room *room = bpf_map_lookup_elem(&data_rooms, &room_at);
	__u64 buffer[2], length;

	if (!room)
		return 0;
	for (int i = 0; i < MAX_BUFFERS; i++) {
		if (!room->count || !room->left ||
		    bpf_probe_read_user(buffer, sizeof(buffer), (void *)(from + i * sizeof(buffer))))
			break;
		room->count--;
		length = smaller(buffer[1], room->left);
		room->left -= length;
		add_bytes(room, buffer[0], smaller(length, settings.data_bytes));
		room->element++;
	}
	return 0;
}

struct message {
	__u64 name;
	__u32 name_bytes;
	__u32 unused;
	__u64 buffers;
	__u64 count;
	__u64 control[3];
};

__attribute__((noinline)) int add_message(__u32 room_at, __u64 from)
{
	struct data_room *room = bpf_map_lookup_elem(&data_rooms, &room_at);
	struct message message;

	if (!room || bpf_probe_read_user(&message, sizeof(message), (void *)from))
		return 0;
	add_bytes(room, from, sizeof(message));
	room->element = 1;
	add_bytes(room, message.name, smaller(message.name_bytes, MAX_ADDRESS));
	room->element = 2;
	room->count = smaller(message.count, MAX_BUFFERS);
	add_bytes(room, message.buffers, room->count * 16);
	room->element = 3;
	add_buffers(room_at, message.buffers);
	return 0;
}

__attribute__((noinline)) int add_argument(__u32 room_at, __u32 number, __u64 which, __s64 result)
{
	struct data_room *room = bpf_map_lookup_elem(&data_rooms, &room_at);
	struct data_info *info = bpf_map_lookup_elem(&data_infos, &number);
	const struct data_of *what;
	__u64 from, count = 1;

	if (!room || !info || which >= DATA_ARGUMENTS)
		return 0;
	what = &info->of[which];
	from = what->arg < 6 ? room->args[what->arg] : 0;
	if (!from || (result < 0 && what->when == DATA_IF_SUCCEEDED) ||
	    (result >= 0 && what->when == DATA_IF_FAILED))
		return 0;
	if (what->length < 6)
		count = room->args[what->length];
	else if (what->length == DATA_LENGTH_RESULT)
		count = result;
	// How many elements an array has may be an int.
	if (what->size != 1)
		count = (__u32)count;
	room->arg = what->arg;
	room->element = 0;
	room->left = what->when == DATA_IF_SUCCEEDED ? result : -1ull;
	switch (what->kind) {
	case DATA_PLAIN:
		add_bytes(room, from,
			  smaller(count, what->most ?: settings.data_bytes) * what->size);
		break;
	case DATA_BUFFERS:
		room->count = smaller(count, MAX_BUFFERS);
		add_bytes(room, from, room->count * 16);
		room->element = 1;
		add_buffers(room_at, from);
		break;
	case DATA_MESSAGE:
		add_message(room_at, from);
		break;
	}
	return 0;
}

// Without room for it, the call has no data, and that can be seen.
static __always_inline void hand_over_data(struct head *record, __u64 length, __u64 most,
					   struct task_struct *task)
{
	__u64 flags = wakeup(&calls);

	fill_head(record, KIND_CALL_DATA, bpf_ktime_get_ns(), task);
	// Older verifiers know of a bound only where it was compared last, and alone.
	barrier_var(length);
	if (length <= most)
		bpf_ringbuf_output(&calls, record, sizeof(*record) + length, flags);
}

static __always_inline void hand_over_exec_data(struct task_struct *task)
{
	__u32 pid = FIELD(task, tgid);
	struct exec_data *kept = bpf_map_lookup_elem(&executing, &pid);

	if (kept && tracking_of(pid) == LIVE)
		hand_over_data(&kept->head, kept->head.time, EXEC_BYTES, task);
	bpf_map_delete_elem(&executing, &pid);
}

// Before the program that hands over the call.
SEC(TRACEPOINT "sys_exit")
int on_return_data(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = current_task();
	struct thread *thread = known_thread(task);
	const struct pt_regs *regs = (void *)ctx->args[0];
	__s64 result = ctx->args[1];
	__u32 only = 0, number, room_at;
	struct data_info *info;
	struct data_room *room;
	struct control *values;
	__u64 length;
	int taken;

	if (!thread || !thread->call_since)
		return 0;
	number = thread->call_number;
	values = bpf_map_lookup_elem(&control, &only);
	// Where calls come too fast to write each, their data is left out first.
	if (!values || values->thin > 1 ||
	    bpf_ktime_get_ns() - thread->call_since < settings.slower_than_ns)
		return 0;
	if (is_exec(number)) {
		hand_over_exec_data(task);
		return 0;
	}
	info = bpf_map_lookup_elem(&data_infos, &number);
	if (!info || !info->of[0].kind)
		return 0;
#ifdef OLD_KERNEL
	struct pt_regs copy;

	if (bpf_probe_read_kernel(&copy, sizeof(copy), regs))
		return 0;
	regs = &copy;
#endif
	taken = take_data_room();
	if (taken < 0)
		return 0;
	room_at = taken;
	room = bpf_map_lookup_elem(&data_rooms, &room_at);
	if (!room)
		return 0;
	call_arguments(room->args, regs, false);
	for (int i = 0; i < DATA_ARGUMENTS; i++) {
		if (info->of[i].kind)
			add_argument(room_at, number, i, result);
	}
	length = room->at;
	if (length)
		hand_over_data(&room->head, length, DATA_ROOM, task);
	leave_room(&room->busy);
	return 0;
}

static __always_inline __u64 user_word(__u64 array, __u32 index)
{
	__u64 word;

	return bpf_probe_read_user(&word, sizeof(word), (void *)(array + index * sizeof(word)))
		       ? 0 : word;
}

__attribute__((noinline)) int count_words(__u32 room_at, __u64 array)
{
	struct data_room *room = bpf_map_lookup_elem(&data_rooms, &room_at);

	if (!room)
		return 0;
	room->count = 0;
	for (int i = 0; i < MAX_ENVIRONMENT && user_word(array, i); i++)
		room->count++;
	return 0;
}

__attribute__((noinline)) int add_words(__u32 room_at, __u64 array)
{
	struct data_room *room = bpf_map_lookup_elem(&data_rooms, &room_at);
	__u64 word;

	if (!room)
		return 0;
	for (int i = 0; i < MAX_WORDS; i++) {
		word = user_word(array, i);
		if (!word)
			break;
		room->element++;
		add_word(room, word);
	}
	return 0;
}

SEC("raw_tp/sys_enter")
int on_call_data(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = current_task();
	__u32 pid = FIELD(task, tgid), room_at;
	bool has_folder = ctx->args[1] == EXECVEAT;
	struct data_room *room;
	struct pt_regs regs;
	__u64 length;
	int taken;

	if (!is_exec(ctx->args[1]) || !tracking_of(pid) || is_compat(task) ||
	    bpf_probe_read_kernel(&regs, sizeof(regs), (void *)ctx->args[0]))
		return 0;
	taken = take_data_room();
	if (taken < 0)
		return 0;
	room_at = taken;
	room = bpf_map_lookup_elem(&data_rooms, &room_at);
	if (!room)
		return 0;
	call_arguments(room->args, &regs, false);
	count_words(room_at, has_folder ? room->args[3] : room->args[2]);
	room->arg = has_folder ? 3 : 2;
	room->element = 0;
	if (room->count < MAX_ENVIRONMENT) {
		__builtin_memcpy(room->bytes + PIECE_HEAD, &room->count, sizeof(room->count));
		end_piece(room, sizeof(room->count));
	}
	room->arg--;
	add_words(room_at, has_folder ? room->args[2] : room->args[1]);
	length = room->at;
	room->head.time = length > EXEC_BYTES ? EXEC_BYTES : length;
	bpf_map_update_elem(&executing, &pid, &room->head, BPF_ANY);
	leave_room(&room->busy);
	return 0;
}
