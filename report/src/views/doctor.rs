//! What is wrong with a program, as text.

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile};

use crate::doctor::{DoctorPage, Finding, NotLooked, Severity};
use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::render::format::{bytes, counted, duration, shorten};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;
use crate::views::header::write_header;

/// Warnings that the first page has room for.
const ON_FIRST_PAGE: usize = 3;

/// Writes what rules found.
pub fn write_doctor(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &DoctorPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let warnings = page.at_least(Severity::Warning).count() as u64;
    let hints = page.findings.len() as u64 - warnings;
    let note = match page.findings.len() {
        0 => "nothing found".to_owned(),
        _ => format!(
            "{}, {}, most costly first; docs/DOCTOR.md says what each rule looks at",
            counted(warnings, "warning"),
            counted(hints, "hint")
        ),
    };
    write_title(out, style, "DOCTOR", &note)?;
    for (index, finding) in page.findings.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_finding(out, style, finding)?;
    }
    if page.not_looked.is_empty() {
        return Ok(());
    }
    write_title(out, style, "NOT LOOKED AT", "")?;
    for NotLooked { why, rules } in &page.not_looked {
        writeln!(out, "  {why}  {}", style.paint(Paint::Dim, &rules.join(", ")))?;
    }
    Ok(())
}

fn write_finding(out: &mut dyn Write, style: Style, finding: &Finding) -> io::Result<()> {
    let severity = finding.severity.name();
    let paint = match finding.severity {
        Severity::Warning => Paint::Bold,
        Severity::Hint => Paint::Plain,
    };
    let head = format!("{severity:<8}{}", finding.title);
    let head = style.width.map_or(head.as_str().into(), |width| shorten(&head, width));
    writeln!(out, "{}", style.paint(paint, &clean(&head)))?;
    let mut line = |key: &str, text: &str| {
        let text = format!("{key:<6}{text}");
        writeln!(out, "  {}", style.paint(Paint::Dim, &text))
    };
    let costs = [finding.cost_ns.map(duration), finding.cost_bytes.map(bytes)];
    let costs: Vec<String> = costs.into_iter().flatten().collect();
    let cost = if costs.is_empty() { "not known".to_owned() } else { costs.join(", ") };
    line("cost", &format!("{cost}; {}, by {}", finding.sure.name(), finding.rule))?;
    for text in &finding.evidence {
        line("", text)?;
    }
    if let Some(but) = &finding.but {
        line("but", but)?;
    }
    for (index, command) in finding.next.iter().enumerate() {
        let key = if index == 0 { "next" } else { "" };
        writeln!(out, "  {}{command}", style.paint(Paint::Dim, &format!("{key:<6}")))?;
    }
    Ok(())
}

/// The warnings of a page that the first page of a report has room for.
pub(crate) fn first_warnings(page: &DoctorPage) -> Rows<Finding> {
    let warnings: Vec<&Finding> = page.at_least(Severity::Warning).collect();
    Rows::first(ON_FIRST_PAGE, warnings, Finding::clone)
}

/// Writes warnings as lines of a header.
pub(crate) fn write_warnings(
    out: &mut dyn Write,
    style: Style,
    warnings: &Rows<Finding>,
) -> io::Result<()> {
    let mut line = |key: &str, text: &str| {
        let room = style.width.map_or(usize::MAX, |width| width.saturating_sub(12).max(20));
        let text = clean(text);
        let text = shorten(&text, room);
        writeln!(out, "  {}{text}", style.paint(Paint::Dim, &format!("{key:<10}")))
    };
    for (index, finding) in warnings.rows.iter().enumerate() {
        line(if index == 0 { "warning" } else { "" }, &finding.title)?;
    }
    match (warnings.rows.is_empty(), warnings.left_out) {
        (true, _) => Ok(()),
        (false, 0) => line("", "see --doctor"),
        (false, more) => line("", &format!("{more} more: see --doctor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Sure;
    use crate::fixture::{Builder, text};

    fn finding(title: &str, severity: Severity) -> Finding {
        Finding {
            title: title.into(),
            rule: "polling",
            severity,
            cost_ns: Some(1_500_000_000),
            cost_bytes: None,
            evidence: vec!["10 calls".into(), "5 of them in vain".into()],
            sure: Sure::Likely,
            but: Some("it may be meant so".into()),
            next: vec!["report t.rz --syscalls".into(), "report t.rz --tree".into()],
        }
    }

    #[test]
    fn a_page_and_its_lines_of_the_first_page() {
        let profile = Builder::of(&[("main", 5)]);
        let findings = vec![finding("a polls", Severity::Warning), finding("b", Severity::Hint)];
        let not_looked = NotLooked { why: "waits: not recorded".into(), rules: vec!["gil", "x"] };
        let page = DoctorPage { findings, not_looked: vec![not_looked] };
        let style = Style::default();
        let shown = text(|out| write_doctor(out, style, "t.rz", &profile, Some(0), &page));
        let expected = "
DOCTOR  1 warning, 1 hint, most costly first; docs/DOCTOR.md says what each rule looks at
warning a polls
  cost  1.50 s; likely, by polling
        10 calls
        5 of them in vain
  but   it may be meant so
  next  report t.rz --syscalls
        report t.rz --tree

hint    b
";
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.ends_with("NOT LOOKED AT\n  waits: not recorded  gil, x\n"), "{shown}");
        let shown = text(|out| write_warnings(out, style, &first_warnings(&page)));
        assert_eq!(shown, "  warning   a polls\n            see --doctor\n");
        let nothing = DoctorPage::default();
        let shown = text(|out| write_doctor(out, style, "t.rz", &profile, Some(0), &nothing));
        assert!(shown.ends_with("DOCTOR  nothing found\n"), "{shown}");
        assert_eq!(text(|out| write_warnings(out, style, &first_warnings(&nothing))), "");
    }
}
