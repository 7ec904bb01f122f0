// Exact sums by thread and kind, whatever happens to the records.
#pragma once

// Two tables: while the programs add to one, the recorder empties the other.
struct totals {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
#ifndef OLD_KERNEL
	// Programs of old kernels must not allocate where the scheduler runs them.
	__uint(map_flags, BPF_F_NO_PREALLOC);
#endif
	__type(key, struct total_key);
	__type(value, struct total);
} totals SEC(".maps"), other_totals SEC(".maps");

// The one that is added to. Who exchanges it waits for programs that go by the one before.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct totals);
} current_totals SEC(".maps") = { .values = { &totals } };

// A new row, to start from: too large for the stack.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct total);
} no_total SEC(".maps");

static __always_inline __u32 log2_of(__u64 value)
{
	__u32 result = 0;

#pragma unroll
	for (int shift = 32; shift; shift >>= 1) {
		if (value >> shift) {
			value >>= shift;
			result += shift;
		}
	}
	return result < BUCKETS ? result : BUCKETS - 1;
}

static __always_inline struct total *total_of(struct total_key *key)
{
	__u32 only = 0;
	void *table = bpf_map_lookup_elem(&current_totals, &only);
	struct total *total = table ? bpf_map_lookup_elem(table, key) : NULL;

	if (total || !table)
		return total;
	total = bpf_map_lookup_elem(&no_total, &only);
	if (total && !bpf_map_update_elem(table, key, total, BPF_NOEXIST))
		count_many(NEW_TOTALS, 1);
	total = bpf_map_lookup_elem(table, key);
	if (!total)
		lose(LOST_TOTALS);
	return total;
}

// Adds to the current thread's sums. Nobody else writes to them, so there is
// no need to do it atomically.
static __always_inline struct total *add_total(struct total_key *key, __u64 duration)
{
	struct total *total = total_of(key);
	__u32 bucket = log2_of(duration);

	if (!total)
		return NULL;
	if (!total->count || duration < total->min_ns)
		total->min_ns = duration;
	if (duration > total->max_ns)
		total->max_ns = duration;
	total->count++;
	total->total_ns += duration;
	if (bucket < BUCKETS)
		total->histogram[bucket]++;
	return total;
}
