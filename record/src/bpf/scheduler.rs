//! The function of the scheduler with which every thread goes on, by the names
//! that compilers give it.

use std::fs::File;
use std::io::{BufRead, BufReader};

use libbpf_rs::{Link, ProgramMut};

const FUNCTION: &str = "finish_task_switch";
/// Seen in kernels of distributions; the list of all names is long.
const USUAL: [&str; 2] = [FUNCTION, "finish_task_switch.isra.0"];

/// Sets a probe at it; says why if that cannot be done.
pub(super) fn probe(program: &ProgramMut<'_>) -> Result<Link, String> {
    let mut refusal = String::new();
    let mut attach = |name: &str| match program.attach_kprobe(false, name) {
        Ok(link) => Some(link),
        Err(error) => {
            refusal = format!("{error:#}");
            None
        }
    };
    let usual = USUAL.iter().find_map(|name| attach(name));
    match usual.or_else(|| full_name().and_then(|name| attach(&name))) {
        Some(link) => Ok(link),
        None => Err(format!(
            "{refusal} (it takes a kernel with CONFIG_KPROBES, or Linux 6.15, which needs no probe)"
        )),
    }
}

/// The function's name with what the compiler has put behind it.
fn full_name() -> Option<String> {
    let lines = BufReader::new(File::open("/proc/kallsyms").ok()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let name = line.split(' ').nth(2)?;
        let suffix = name.strip_prefix(FUNCTION)?;
        (suffix.starts_with('.') && !suffix.contains(".cold")).then(|| name.to_owned())
    })
}
