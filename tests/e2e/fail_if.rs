//! Build servers learn from the exit code whether something got slower.

use rz_tests::{Output, Trace, program, report, text};

/// One recording, said to have done so much before and after: however busy this
/// machine is, how they compare is known.
#[test]
fn exit_codes_tell_regression_and_improvement() {
    let trace = Trace::record(&["--", &program("split")[0], "2"]);
    let path = trace.path();
    let compare = |work: [&str; 2], condition: &str| -> Output {
        let [before, after] = work;
        let work = ["--work", before, "--work", after];
        let diff = ["--diff", text(&path), text(&path), "--fail-if", condition];
        report(&[&diff as &[&str], &work].concat())
    };
    let check = |work, condition: &str, code: i32, outcome: &str| {
        let output = compare(work, condition).code(code);
        let line = format!("report: {condition}: {outcome}: ");
        assert!(output.stderr.contains(&line), "{output}");
    };
    check(["1000", "500"], "total>10%", 3, "regression");
    check(["1000", "500"], "total:hot>10%", 3, "regression");
    check(["1000", "500"], "function>10%", 3, "regression");
    check(["500", "1000"], "total>10%", 0, "improvement");
    check(["1000", "1000"], "total>95%", 0, "fine");
    check(["1000", "1000"], "total>0%", 4, "too noisy to tell");
    compare(["1", "1"], "self:nothing>5%").refused(1, &["no function nothing"]);
    compare(["1", "1"], "speed>5%").code(2);
}
