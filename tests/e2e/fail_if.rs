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

#[test]
fn conditions_of_one_trace() {
    let trace = Trace::record(&["--off-cpu", "--", &program("split")[0], "2"]);
    let path = trace.path();
    let check = |condition: &str, code: i32, part: &str| {
        let output = report(&[text(&path), "--fail-if", condition]).code(code);
        let line = format!("report: {condition}: {part}");
        assert!(output.stderr.contains(&line), "{output}");
        assert!(output.stdout.contains("TOP FUNCTIONS"), "{output}");
    };
    // Seven tenths of it, all of them in `work`.
    check("total:hot>20%", 3, "beyond the limit: ");
    check("self:hot>50%", 0, "fine: ");
    check("self:work>5%", 3, "beyond the limit: ");
    check("function>30%", 3, "beyond the limit: ");
    check("waits:futex>10s", 0, "fine: ");
    check("waits:preempted>1h", 0, "fine: ");
    // The worst counts, and the report is there all the same.
    let both = ["--fail-if", "self:hot>50%", "--fail-if", "total:hot>20%", "-o", "-"];
    report(&[&[text(&path)], &both[..]].concat()).code(3);
    report(&[text(&path), "--fail-if", "self:nothing>5%"]).refused(1, &["no function nothing"]);
    report(&[text(&path), "--fail-if", "leak>1MB"]).refused(1, &["no allocations were recorded"]);
    report(&[text(&path), "--fail-if", "total>5%"]).code(2);
}
