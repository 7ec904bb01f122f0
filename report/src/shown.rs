//! One view of one profile, as text, JSON and Markdown.

use std::io::{self, Write};

use anyhow::Result;
use rz_profile::heap::Suppressions;
use rz_profile::model::{EventId, Profile};
use rz_report::condition::Checked;
use rz_report::doctor::DoctorPage;
use rz_report::model::calls::SortCalls;
use rz_report::render::style::Style;
use rz_report::views::annotate::{annotated, write_annotated};
use rz_report::views::doctor::write_doctor;
use rz_report::views::document::{Document, Page};
use rz_report::views::dump::{dump, write_dump};
use rz_report::views::functions::{FunctionOptions, functions, write_functions};
use rz_report::views::heap::sites::{SiteKind, SiteList, SortSites, sites, write_sites};
use rz_report::views::heap::{HeapPageOptions, heap, write_heap};
use rz_report::views::off_cpu::{off_cpu, write_off_cpu};
use rz_report::views::summary::{SummaryOptions, summary, write_summary};
use rz_report::views::syscalls::{SyscallOptions, syscalls, write_syscalls};
use rz_report::views::tree::{tree, write_tree_report};

use crate::cli::{Config, SampleView};
use crate::outputs::{has_document, write_document, write_text};

/// A view of one profile, with all that it shows.
pub struct Shown<'s> {
    pub config: &'s Config,
    pub view: &'s SampleView,
    pub name: &'s str,
    pub profile: &'s Profile,
    pub event: Option<EventId>,
    pub suppressions: &'s Suppressions,
    pub doctor: Option<&'s DoctorPage>,
    pub checked: &'s [Checked],
}

impl Shown<'_> {
    fn summary_options(&self, threads: usize) -> SummaryOptions {
        SummaryOptions { limit: self.config.limit, by: self.config.by, threads }
    }

    fn syscall_options(&self, by: SortCalls, threads: usize) -> SyscallOptions {
        SyscallOptions { limit: self.config.limit, by, threads }
    }

    fn heap_options(&self, threads: usize) -> HeapPageOptions {
        HeapPageOptions { limit: self.config.limit, threads }
    }

    fn site_list(&self, kind: SiteKind, by: SortSites) -> SiteList {
        SiteList { kind, by, limit: self.config.limit }
    }

    /// Writes text, JSON and Markdown, as far as they are wanted.
    pub fn write(&self) -> Result<()> {
        let &Shown { view, name, profile, event, suppressions, config, doctor, .. } = self;
        match view {
            SampleView::Doctor => {
                let page = || doctor.cloned().unwrap_or_default();
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_doctor(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Doctor)
            }
            SampleView::Dump => {
                let page = || dump(profile, config.limit);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_dump(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Dump)
            }
            &SampleView::Tree(options) => {
                let page = || tree(profile, event, options);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_tree_report(out, style, name, profile, event, page, options)
                };
                self.write_page(page, text, Page::Tree)
            }
            SampleView::Annotated(options) => {
                let page = || annotated(profile, event, options);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_annotated(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Annotated)
            }
            &SampleView::Summary { threads } => {
                let options = self.summary_options(threads);
                let page = || summary(profile, event, options).with_warnings(doctor);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_summary(out, style, name, profile, event, page, config.by)
                };
                self.write_page(page, text, Page::Summary)
            }
            &SampleView::OffCpu { threads } => {
                let page = || off_cpu(profile, event, self.summary_options(threads));
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_off_cpu(out, style, name, profile, event, page, config.by)
                };
                self.write_page(page, text, Page::OffCpu)
            }
            &SampleView::Syscalls { by, threads } => {
                let page = || syscalls(profile, event, self.syscall_options(by, threads));
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_syscalls(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Syscalls)
            }
            &SampleView::Functions { by, threads } => {
                let options = FunctionOptions { limit: config.limit, by, threads };
                let page = || functions(profile, event, options);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_functions(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Functions)
            }
            &SampleView::Heap { threads } => {
                // The text's slices of time are those that the terminal has room for.
                let options = self.heap_options(threads);
                write_text(config, |out, style| {
                    write_heap(out, style, name, profile, event, options)
                })?;
                write_document(config, || {
                    self.document(Page::Heap(Box::new(heap(profile, options))))
                })
            }
            &SampleView::Sites { kind, by } => {
                let page = || sites(profile, self.site_list(kind, by), suppressions);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_sites(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Sites)
            }
        }
    }

    /// Writes a page that is the same for text, JSON and Markdown.
    fn write_page<P>(
        &self,
        page: impl FnOnce() -> P,
        text: impl FnOnce(&mut dyn Write, Style, &P) -> io::Result<()>,
        of_view: fn(P) -> Page<'static>,
    ) -> Result<()> {
        if self.config.text.is_none() && !has_document(self.config) {
            return Ok(());
        }
        let page = page();
        write_text(self.config, |out, style| text(out, style, &page))?;
        write_document(self.config, || self.document(of_view(page)))
    }

    fn document(&self, page: Page<'static>) -> Document<'static> {
        let document = Document::new(self.name, self.profile, self.event, page);
        document.with_conditions(self.checked)
    }
}
