// Keeps the set of recorded processes up to date, before anything can happen
// in a new one.
#pragma once

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tracking, pid = child->tgid;

	if (settings.all || !settings.follow || parent->tgid == pid)
		return 0;
	tracking = tracking_of(parent->tgid);
	if (tracking)
		bpf_map_update_elem(&tracked, &pid, &tracking, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binprm)
{
	__u32 tracking = LIVE, pid = task->tgid;
	struct thread *thread;

	if (tracking_of(pid) == UNTIL_EXEC)
		bpf_map_update_elem(&tracked, &pid, &tracking, BPF_EXIST);
	// Even of one that has not waited or called yet: it begins again here.
	thread = thread_of(task);
	if (!thread)
		return 0;
	thread->epoch = bpf_ktime_get_ns();
	forget_allocator(task, thread);
	bpf_probe_read_kernel_str(thread->program, sizeof(thread->program), binprm->filename);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 pid = task->tgid;

	call_never_returns(task);
	last_allocations(task);
	if (!settings.all && task->signal->live.counter == 0)
		bpf_map_delete_elem(&tracked, &pid);
	return 0;
}
