// Names of kernel addresses, as the kernel itself prints them (Linux 5.14):
// listing all of its symbols takes far longer than all that is asked for.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// `record/src/kernel_names.rs` says the same.
#define ADDRESSES 64
#define TEXT 256

struct names {
	__u64 addresses[ADDRESSES];
	char texts[ADDRESSES][TEXT];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct names);
} names SEC(".maps");

static const char format[] = "%pS";

SEC("syscall")
int name_addresses(void *ctx)
{
	__u32 only = 0;
	struct names *all = bpf_map_lookup_elem(&names, &only);

	if (!all)
		return 1;
	for (__u32 i = 0; i < ADDRESSES; i++)
		bpf_snprintf(all->texts[i], TEXT, format, &all->addresses[i], sizeof(__u64));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
