//! Whom the numbers that a recording is asked for belong to.

use crate::config::Target;
use crate::tracker::procfs;

/// The running processes that a recording is of.
#[derive(Debug, Default)]
pub(crate) struct Whom {
    /// The processes.
    pub(crate) pids: Vec<u32>,
    /// Their threads that are recorded; all if there is none.
    pub(crate) tids: Vec<u32>,
    /// What the user should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl Whom {
    /// Nobody yet if a program is to be started, or if it is the whole machine.
    pub(crate) fn of(target: &Target) -> Self {
        let mut whom = Whom::default();
        match target {
            Target::Processes(numbers) => {
                for &number in numbers {
                    let pid = whom.add_process_of(number);
                    if pid != number {
                        whom.notes.push(format!(
                            "{number} is a thread of process {pid}, all of which is recorded; \
                             --tid {number} records only that thread"
                        ));
                    }
                }
            }
            Target::Threads(numbers) => {
                for &number in numbers {
                    let pid = whom.add_process_of(number);
                    whom.tids.push(number);
                    whom.notes.push(format!("of process {pid}, only thread {number} is recorded"));
                }
            }
            Target::Program(_) | Target::Machine => {}
        }
        whom
    }

    /// Adds the process that has a thread of this number. If it is gone, attaching
    /// will say so.
    fn add_process_of(&mut self, number: u32) -> u32 {
        let pid = procfs::process_of(number).unwrap_or(number);
        if !self.pids.contains(&pid) {
            self.pids.push(pid);
        }
        pid
    }

    /// Whether all that was asked for has ended; `Target::Program` is not.
    pub(crate) fn has_ended(&self) -> bool {
        let numbers = if self.tids.is_empty() { &self.pids } else { &self.tids };
        !numbers.is_empty() && numbers.iter().all(|number| !procfs::is_running(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lead_to_their_process() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (pid, tid) = (std::process::id(), nix::unistd::gettid);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            sender.send(tid().as_raw() as u32).unwrap();
            ended.recv().unwrap_err();
        });
        let tid = receiver.recv().unwrap();
        let whom = Whom::of(&Target::Processes(vec![tid, pid]));
        assert_eq!((&whom.pids[..], &whom.tids[..]), (&[pid][..], &[][..]));
        assert_eq!(whom.notes.len(), 1, "{:?}", whom.notes);
        assert!(whom.notes[0].starts_with(&format!("{tid} is a thread of process {pid},")));
        let whom = Whom::of(&Target::Threads(vec![tid]));
        assert_eq!((&whom.pids[..], &whom.tids[..]), (&[pid][..], &[tid][..]));
        assert!(!whom.has_ended());
        drop(end);
        thread.join().unwrap();
        // It may take a moment to be gone after its end was seen.
        while procfs::is_running(tid) {
            std::thread::yield_now();
        }
        assert!(whom.has_ended());
        assert!(Whom::of(&Target::Machine).pids.is_empty());
    }
}
