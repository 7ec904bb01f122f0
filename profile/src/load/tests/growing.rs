//! A trace that is gone through while it is written.

use std::fs::{File, OpenOptions};
use std::io::Write;

use rz_format::*;

use crate::fixture::trace::*;
use crate::load::pass::{CallRows, Pass};
use crate::load::selection::Selection;
use crate::load::sums::Sums;
use crate::load::totals::ThreadTotals;

#[test]
fn a_pass_goes_on_where_it_was() {
    let call =
        |start_ns| Call { start_ns, duration_ns: 5, stack_weight: 7, count: 1, ..Call::default() };
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(0, 0x1040)]);
    trace.define_stacks();
    for second in 0..4 {
        trace.samples(&[stack; 10]);
        trace.calls(&[call(second * 1000), call(second * 1000 + 1)]);
    }
    let bytes = trace.finish();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.rz");
    let (now, later) = bytes.split_at(bytes.len() / 2);
    File::create(&path).unwrap().write_all(now).unwrap();

    let everything = Selection::default();
    let mut pass = Pass::open(&path, &everything, None).unwrap();
    pass.reader.set_growing(true);
    let (mut sums, mut totals) = (Sums::default(), ThreadTotals::default());
    let mut run = |pass: &mut Pass<'_>| {
        pass.run(|_| true, CallRows::Bare, &mut [&mut sums, &mut totals]).unwrap();
        let count: u64 = sums.amounts().map(|(_, amount)| amount.count).sum();
        let calls: u64 = totals.of_rows.sums().map(|total| total.count).sum();
        (count, calls)
    };
    let (samples, calls) = run(&mut pass);
    assert!((1..48).contains(&samples) && calls < 8, "{samples} and {calls}");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(later).unwrap();
    assert_eq!(run(&mut pass), (48, 8));
    assert!(pass.reader.is_at_end() && pass.reader.damage().is_empty());
    assert_eq!(pass.defined.stacks.stacks.values().len(), 1);
}
