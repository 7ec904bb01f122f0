// Exact sums by thread and kind, whatever happens to the records.
#pragma once

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct total_key);
	__type(value, struct total);
} totals SEC(".maps");

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
	struct total *total = bpf_map_lookup_elem(&totals, key);
	__u32 only = 0;

	if (total)
		return total;
	total = bpf_map_lookup_elem(&no_total, &only);
	if (total)
		bpf_map_update_elem(&totals, key, total, BPF_NOEXIST);
	total = bpf_map_lookup_elem(&totals, key);
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
