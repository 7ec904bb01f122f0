// Keeps the set of recorded processes up to date, before anything can happen
// in a new one.
#pragma once

SEC(TRACEPOINT "sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tracking, pid = FIELD(child, tgid);

	forget_thread(child);
	if (!settings.all && settings.follow && FIELD(parent, tgid) != pid) {
		tracking = tracking_of(FIELD(parent, tgid));
		if (tracking)
			bpf_map_update_elem(&tracked, &pid, &tracking, BPF_ANY);
	}
	if (FIELD(parent, tgid) != pid)
		inherit_python(FIELD(parent, tgid), pid);
	// Now, as the scheduler is no place to allocate in.
	if (settings.threads)
		thread_of(child);
	return 0;
}

// At the start of the recording: makes room for what is to be known of the
// threads that there are.
SEC("iter/task")
int find_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && !is_dead(task))
		thread_of(task);
	return 0;
}

SEC(TRACEPOINT "sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binprm)
{
	__u32 tracking = LIVE, pid = FIELD(task, tgid);
	struct thread *thread;

	bpf_map_delete_elem(&pythons, &pid);
	if (tracking_of(pid) == UNTIL_EXEC)
		bpf_map_update_elem(&tracked, &pid, &tracking, BPF_EXIST);
	// Even of one that has not waited or called yet: it begins again here.
	thread = thread_of(task);
	if (!thread)
		return 0;
	thread->epoch = bpf_ktime_get_ns();
	forget_allocator(task, thread);
	forget_functions(task);
	bpf_probe_read_kernel_str(thread->program, sizeof(thread->program),
				  FIELD(binprm, filename));
	return 0;
}

// Of a thread that ends, only we can still say how long it has run, and why it ends. What
// it did since the last tick is not counted yet.
static __always_inline void say_how_long_it_ran(struct task_struct *task)
{
	struct ran ran = {};

	ran.signal = FIELD(task, exit_code) & SIGNAL_MASK;
	if (settings.all ? !ran.signal : tracking_of(FIELD(task, tgid)) != LIVE)
		return;
	fill_head(&ran.head, KIND_RAN, bpf_ktime_get_ns(), task);
	ran.ran = FIELD(task, se.sum_exec_runtime);
	ran.ready = FIELD(task, sched_info.run_delay);
	ran.runs = FIELD(task, sched_info.pcount);
	bpf_ringbuf_output(&samples, &ran, sizeof(ran), wakeup(&samples));
}

SEC(TRACEPOINT "sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 pid = FIELD(task, tgid);

	say_how_long_it_ran(task);
	call_never_returns(task);
	last_allocations(task);
	forget_thread(task);
	if (live_threads(task) == 0) {
		bpf_map_delete_elem(&pythons, &pid);
		if (!settings.all)
			bpf_map_delete_elem(&tracked, &pid);
	}
	return 0;
}
