//! Stacks and shares of programs whose call trees are known.

use rz_tests::{CallTree, Folded, Target, Trace, text, workspace_root};

const SPLIT: &str = "
    main > run
    run > hot warm cold now_ns next_choice
    hot warm cold > work
";

/// Records a target program for a while, and checks that its stacks are whole
/// and possible.
#[track_caller]
fn check(program: &str, args: &[&str], tree: &str) -> Folded {
    let folded = record(program, args);
    let checked = CallTree::parse(tree).check(&folded, short_name);
    checked.assert_complete();
    folded
}

#[track_caller]
fn record(program: &str, args: &[&str]) -> Folded {
    let target = Target::start(program, args);
    let mut folded = Trace::of(target.pid(), "1.5", &["-q"]).folded(&[]);
    // Known limits: the kernel may have set one of the two registers for a signal handler,
    // and not the other one yet; and where an exception goes to its handler, that may seem
    // to be a caller.
    folded.stacks.retain(|stack, _| {
        !stack.ends_with(";x64_setup_rt_frame_[k]")
            && !stack.contains(";shapes::guarded(int);_Unwind_RaiseException")
    });
    folded
}

/// A name without arguments and type parameters.
fn short_name(name: &str) -> String {
    let name = name.split('(').next().unwrap_or(name);
    match name.find('<') {
        Some(at) if at > 0 => name[..at].trim_end_matches("::").to_owned(),
        _ => name.to_owned(),
    }
}

/// Panics unless `part` has its share of all samples, as far as chance allows:
/// five standard deviations, and a hundredth for what comes on top.
#[track_caller]
fn assert_chance(folded: &Folded, part: &str, expected: f64) {
    let deviation = (expected * (1.0 - expected) / folded.total() as f64).sqrt();
    folded.assert_share(part, expected, 5.0 * deviation + 0.01);
}

/// [`assert_chance`] for a program with two loops: `part` and the other one. What
/// the kernel takes between them, for a signal say, is another's on each machine.
#[track_caller]
fn assert_chance_of_two(folded: &Folded, part: &str, other: &str, expected: f64) {
    let (part, other) = (folded.count(part), folded.count(other));
    let loops = Folded::parse(&format!("part {part}\nother {other}\n"));
    assert_chance(&loops, "part", expected);
    assert!(loops.total() * 10 > folded.total() * 7, "{}", folded.head(40));
}

#[track_caller]
fn check_split(program: &str) {
    let folded = check(program, &[], SPLIT);
    assert_chance(&folded, ";main;run;hot", 0.7);
    assert_chance(&folded, ";main;run;warm", 0.2);
    assert_chance(&folded, ";main;run;cold", 0.1);
    // Inlined calls are shown, and marked.
    assert!(folded.share(";hot;work_[i]") > 0.5, "{}", folded.head(9));
}

#[test]
fn split() {
    check_split("split");
}

#[test]
fn split_with_frame_pointers() {
    check_split("split-fp");
}

#[test]
fn split_at_a_fixed_address() {
    check_split("split-nopie");
}

#[test]
fn split_linked_statically() {
    check_split("split-static");
}

#[test]
fn split_stripped_with_a_debug_file_beside_it() {
    check_split("split-stripped");
}

#[test]
fn split_with_compressed_debug_information() {
    check_split("split-compressed");
}

#[test]
fn forty_calls_deep() {
    let tree = "deep_thread > descend now_ns\n descend > descend bottom\n bottom > work";
    let folded = check("deep", &[], tree);
    assert!(folded.share(";bottom;work_[i]") > 0.95, "{}", folded.head(9));
    for stack in folded.stacks.keys() {
        let depth = stack.split(';').filter(|frame| *frame == "descend").count();
        let is_possible = if stack.contains(";bottom") { depth == 40 } else { depth <= 40 };
        assert!(is_possible, "{depth}: {stack}");
    }
}

#[test]
fn deeper_than_what_is_copied() {
    let folded = record("deep", &["0", "5000"]);
    let tree = "deep_thread > descend now_ns\n descend > descend bottom\n bottom > work";
    let checked = CallTree::parse(tree).check(&folded, short_name);
    assert!(checked.truncated > 40, "{checked:?}");
    // The others are of the first thousand calls on the way down and up.
    assert!(folded.share(";[truncated];descend;descend;descend") > 0.7, "{checked:?}");
}

/// The page that a frame has not used is not there to be copied.
#[test]
fn frames_with_room_that_is_not_there() {
    let tree = "room_thread > with_room now_ns\n with_room > bottom\n bottom > work";
    let folded = check("rooms", &[], tree);
    assert!(folded.share(";with_room;bottom;work_[i]") > 0.95, "{}", folded.head(9));
}

#[test]
fn twenty_functions_deep() {
    let mut tree = "deep_thread > f00 now_ns\n f19 > work\n".to_owned();
    for level in 0..19 {
        tree += &format!("f{level:02} > f{:02}\n", level + 1);
    }
    let folded = check("deep20", &[], &tree);
    let whole: String = (0..20).map(|level| format!(";f{level:02}")).collect();
    assert!(folded.share(&format!(";start_thread;deep_thread{whole};work_[i]")) > 0.9);
}

const UNTOLD: &str = "
    main thread_main > run
    run > copies sorts formats signals in_assembly now_ns
    copies > memcpy
    sorts formats >> memcpy
    sorts >> compare
    signals >> on_signal
    on_signal > work
    in_assembly > pushes
    pushes > clobbers
";

/// Neither musl nor what is written in assembly has unwind tables, and frame pointers
/// lead past callers, or nowhere.
#[track_caller]
fn check_untold(program: &str) -> Folded {
    let mut folded = record(program, &[]);
    // What musl exports of its assembly has no sizes: it is called by what is before.
    let named = |stack: &String| {
        stack.replacen(&format!("{program};memset;"), &format!("{program};__clone;"), 1)
    };
    folded.stacks = folded.stacks.iter().map(|(stack, count)| (named(stack), *count)).collect();
    CallTree::parse(UNTOLD).check(&folded, short_name).assert_complete();
    for part in [";copies;memcpy", ";sorts;qsort", ";formats;", ";on_signal;", ";pushes;clobbers"] {
        assert!(folded.count(part) > 0, "{part}: {}", folded.head(20));
    }
    assert!(folded.count(";thread_main;run;") > 20, "{}", folded.head(9));
    folded
}

#[test]
fn musl_linked_statically() {
    let folded = check_untold("untold-static");
    assert!(folded.count("untold-static;_start;libc_start_main_stage2;main;run;") > 20);
    assert!(folded.count(";__clone;start;thread_main;run;") > 20, "{}", folded.head(9));
}

#[test]
fn musl_as_a_library() {
    check_untold("untold-dynamic");
}

#[test]
fn musl_called_by_code_with_frame_pointers() {
    check_untold("untold-fp");
}

#[test]
fn a_program_without_any_tables() {
    check_untold("untold-bare");
}

#[test]
fn sixty_four_threads() {
    let tree = "
        main > crunch_is_never_here
        enter_parse enter_render enter_net enter_store > loop_until_deadline
        loop_until_deadline > crunch now_ns
        crunch > work
    ";
    let folded = check("threads", &[], tree);
    for kind in ["parse", "render", "net", "store"] {
        // As fair as the scheduler is.
        folded.assert_share(&format!(";enter_{kind};loop_until_deadline"), 0.25, 0.12);
    }
}

const RAISED: &str = "
    main > outer
    outer > middle now_ns
    middle > inner
    inner >> on_signal
    inner > inner_burn
    on_signal > handler_burn
    handler_burn inner_burn > work
";

#[test]
fn signal_sent_by_the_program() {
    let folded = check("sigframe", &["0", "raise"], RAISED);
    assert_chance_of_two(&folded, ";on_signal;handler_burn", ";inner;inner_burn", 0.8);
    // The frame between the two is named as what it is.
    assert!(folded.count(";__restore_rt;on_signal") > 0, "{}", folded.head(9));
}

const INTERRUPTED: &str = "
    main > outer
    outer > middle now_ns
    middle > inner
    inner > inner_burn
    inner_burn handler_burn > work
    main outer middle inner inner_burn work now_ns >> on_signal
    on_signal > handler_burn
";

#[test]
fn signal_that_interrupts() {
    let folded = check("sigframe", &["0", "timer"], INTERRUPTED);
    let handled = folded.share(";inner;inner_burn;work_[i];__restore_rt;on_signal;handler_burn");
    // A timer's signals come when they can: 1 ms in each 5 ms, or less often.
    assert!(handled > 0.05, "{handled} of\n{}", folded.head(9));
}

/// Only the stack in use is copied with a sample. What is on the other one is
/// missing, and said to be.
#[test]
fn signal_on_a_stack_of_its_own() {
    let folded = record("sigframe", &["0", "timer", "alt"]);
    let checked = CallTree::parse(INTERRUPTED).check(&folded, short_name);
    assert!(checked.complete > 40, "{checked:?}");
    let cut = ";[truncated];inner_burn;work_[i];__restore_rt;on_signal;handler_burn";
    assert!(folded.share(cut) > 0.05, "{}", folded.head(9));
    let above = folded.count(";__restore_rt");
    assert_eq!(folded.count("[truncated]"), above, "{}", folded.head(9));

    let folded = record("sigframe", &["0", "raise", "alt"]);
    let checked = CallTree::parse(RAISED).check(&folded, short_name);
    assert!(checked.complete > 20, "{checked:?}");
    let handler = ";__restore_rt;on_signal;handler_burn";
    assert_chance_of_two(&folded, handler, ";inner;inner_burn", 0.8);
    assert_eq!(folded.count(";main;outer;middle;inner;inner_burn"), folded.count(";inner_burn"));
}

#[test]
fn linkage_stubs() {
    let tree = "main > plt_loop\n plt_loop > tiny@plt now_ns\n plt_loop >> tiny";
    let folded = check("plt", &[], tree);
    assert!(folded.share(";main;plt_loop;tiny") > 0.2, "{}", folded.head(9));
    assert!(folded.count(";main;plt_loop;tiny@plt") > 0, "{}", folded.head(9));
}

#[test]
fn cplusplus() {
    let tree = "
        main > shapes::run
        shapes::run > shapes::guarded shapes::rank now_ns
        shapes::run > double_shapes::total
        double_shapes::total >> shapes::Circle::area shapes::Square::area
        shapes::guarded > shapes::risky
        shapes::risky > shapes::fail
        shapes::rank > next_choice
        shapes::Circle::area shapes::Square::area shapes::risky > work
    ";
    let target = Target::start("cppdemo", &[]);
    let folded = Trace::of(target.pid(), "1.5", &[]).folded(&[]);
    let name = |name: &str| short_name(name).replace(' ', "_");
    CallTree::parse(tree).check(&folded, name).assert_complete();
    let (circle, square) = (folded.count("shapes::Circle::area"), folded.count("::Square::area"));
    assert!(square > 0);
    let ratio = circle as f64 / square as f64;
    assert!((1.4..2.8).contains(&ratio), "{circle} : {square}");
    // The closure is a function of its own only in the source.
    let closure = ";operator()_[i];shapes::Circle::area() const;work_[i]";
    assert!(folded.share(closure) > 0.3, "{}", folded.head(9));
}

fn check_rust(program: &str) {
    let tree = "
        rustdemo::start::{{closure}} > rustdemo::spin_shapes rustdemo::sum_words
        rustdemo::spin_shapes > rustdemo::total
        rustdemo::total > rustdemo::spin_shapes::{{closure}}
        rustdemo::spin_shapes::{{closure}} > CIRCLE SQUARE
        rustdemo::sum_words > rustdemo::fold
        rustdemo::fold > rustdemo::sum_words::{{closure}}
        rustdemo::sum_words::{{closure}} > rustdemo::hash_word
        CIRCLE SQUARE rustdemo::hash_word > rustdemo::work
    ";
    let folded = record(program, &[]);
    let name = |name: &str| match name {
        "<rustdemo::Circle as rustdemo::Shape>::area" => "CIRCLE".to_owned(),
        "<rustdemo::Square as rustdemo::Shape>::area" => "SQUARE".to_owned(),
        name => short_name(&name.replace("{closure#0}", "{{closure}}")),
    };
    CallTree::parse(tree).check(&folded, name).assert_complete();
    let (circle, square) = (folded.count("Circle as"), folded.count("Square as"));
    assert!(square > 0, "{}", folded.head(9));
    let ratio = circle as f64 / square as f64;
    assert!((1.8..5.0).contains(&ratio), "{circle} : {square}");
    folded.assert_share("_[i];rustdemo::hash_word;rustdemo::work_[i]", 0.5, 0.25);
}

#[test]
fn rust() {
    check_rust("rustdemo");
}

#[test]
fn rust_with_v0_names() {
    check_rust("rustdemo-v0");
}

/// Names come with the lines of the source: in a leaf the line of the
/// instruction, in a caller the line of the call.
#[test]
fn lines_of_the_source() {
    let target = Target::start("split", &[]);
    let profile = Trace::of(target.pid(), "1", &[]).profile();
    let source = |name: &str| {
        let path = workspace_root().join("tests/programs").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", text(&path)))
    };
    let (split, program) = (source("split.c"), source("program.h"));
    let mut seen = [0; 3];
    for sample in &profile.samples {
        let locations: Vec<_> = profile.locations_of(sample.stack).collect();
        for line in locations.iter().flat_map(|location| &location.lines) {
            let function = &profile.functions[line.function];
            let text_of =
                |source: &str| source.lines().nth(line.line as usize - 1).map(str::to_owned);
            match function.name.as_str() {
                "run" if line.line > 0 && function.file.ends_with("split.c") => {
                    let called = text_of(&split).unwrap_or_default();
                    seen[0] += u64::from(called.contains("hot();")) * sample.count;
                }
                "hot" if line.line > 0 && function.file.ends_with("split.c") => {
                    assert_eq!(
                        text_of(&split).unwrap_or_default(),
                        "FRAME void hot(void) { work(1); }"
                    );
                    seen[1] += sample.count;
                }
                "work" if line.line > 0 && function.file.ends_with("program.h") => {
                    let step = text_of(&program).unwrap_or_default();
                    let is_step = ["x = x *", "__asm__", "for (", "work(", "uint64_t x"];
                    assert!(is_step.iter().any(|part| step.contains(part)), "{step}");
                    seen[2] += sample.count;
                }
                _ => {}
            }
        }
    }
    let total: u64 = profile.samples.iter().map(|sample| sample.count).sum();
    let share = |part: usize| seen[part] as f64 / total as f64;
    assert!(share(0) > 0.4 && share(1) > 0.4 && share(2) > 0.8, "{seen:?} of {total}");
}
