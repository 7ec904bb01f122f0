//! Finds the functions, and the calls inlined in them, that cover addresses.

use gimli::{AttributeValue, EntriesRaw, UnitRef};

use super::units::Ranges;
use super::{Failure, Reader, Targets};
use crate::symbolize::budget::Meter;

/// Calls at one address beyond this depth of inlining are dropped.
pub(super) const MAX_DEPTH: u32 = 512;

/// A function, or an inlined call of one.
#[derive(Debug)]
pub(super) struct Scope<'d> {
    /// What it was inlined into.
    pub(super) caller: Option<usize>,
    depth: u32,
    pub(super) name: Named<'d>,
    /// Index of the source file of the inlined call.
    pub(super) call_file: Option<u64>,
    /// Line of the inlined call, 0 if unknown.
    pub(super) call_line: u32,
}

/// What an entry knows of its function's name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Named<'d> {
    /// The linker's name.
    pub(super) linkage: Option<AttributeValue<Reader<'d>>>,
    /// The name in the source.
    pub(super) plain: Option<AttributeValue<Reader<'d>>>,
    /// The entry that knows more.
    pub(super) origin: Option<AttributeValue<Reader<'d>>>,
}

impl<'d> Named<'d> {
    /// Takes note of an attribute if it is about the name.
    pub(super) fn add(&mut self, attribute: &gimli::Attribute<Reader<'d>>) {
        let place = match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => &mut self.linkage,
            gimli::DW_AT_name => &mut self.plain,
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => &mut self.origin,
            _ => return,
        };
        *place = Some(attribute.value());
    }
}

/// The scopes that cover a unit's targets.
#[derive(Debug)]
pub(super) struct Scopes<'d> {
    all: Vec<Scope<'d>>,
    /// The innermost scope of each target.
    innermost: Vec<Option<usize>>,
}

impl<'d> Scopes<'d> {
    /// Reads the entries of `unit` once, and keeps what covers `targets`.
    ///
    /// Entries nest as deep as they like: what is open is on a stack of our
    /// own, and only what has targets is.
    pub(super) fn find(
        unit: UnitRef<Reader<'d>>,
        targets: &Targets,
        meter: &mut Meter,
    ) -> Result<Self, Failure> {
        let mut search = Search::new(targets);
        let mut entries = unit.entries_raw(None)?;
        // Depth of where `entries` began.
        let mut base = 0;
        while !entries.is_empty() {
            meter.step()?;
            let offset = entries.next_offset();
            let depth = base + entries.next_depth();
            search.close(depth);
            if search.is_complete() {
                break;
            }
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            let names = |wanted| {
                move |specification: &gimli::AttributeSpecification| specification.name() == wanted
            };
            let specifications = abbreviation.attributes();
            let has = |name| specifications.iter().any(names(name));
            match abbreviation.tag() {
                gimli::DW_TAG_subprogram
                    if has(gimli::DW_AT_low_pc) || has(gimli::DW_AT_ranges) =>
                {
                    let (scope, ranges) = read_scope(&mut entries, abbreviation, unit)?;
                    search.add_function(scope, &ranges, unit, depth, meter)?;
                }
                gimli::DW_TAG_inlined_subroutine if search.takes_inlined() => {
                    let (scope, ranges) = read_scope(&mut entries, abbreviation, unit)?;
                    search.add_inlined(scope, &ranges, unit, depth, meter)?;
                }
                // Types declare functions; their code is elsewhere, as far as
                // the compiler says where a type ends (gcc does).
                gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type
                    if abbreviation.has_children() && has(gimli::DW_AT_sibling) =>
                {
                    let mut next = None;
                    for &specification in specifications {
                        let attribute = entries.read_attribute(specification)?;
                        if attribute.name() == gimli::DW_AT_sibling {
                            next = Some(attribute.value());
                        }
                    }
                    // Forward only, or it would never end.
                    if let Some(AttributeValue::UnitRef(next)) = next
                        && next > entries.next_offset()
                        && next > offset
                    {
                        entries = unit.entries_raw(Some(next))?;
                        base = depth;
                    }
                }
                _ => entries.skip_attributes(specifications)?,
            }
        }
        Ok(Scopes { all: search.scopes, innermost: search.innermost })
    }

    /// The scopes of a target, innermost first.
    pub(super) fn of_target(&self, target: usize) -> impl Iterator<Item = &Scope<'d>> {
        let scope = |index: usize| &self.all[index];
        let innermost = self.innermost.get(target).copied().flatten().map(scope);
        std::iter::successors(innermost, move |inner| inner.caller.map(scope))
    }
}

fn read_scope<'d>(
    entries: &mut EntriesRaw<Reader<'d>>,
    abbreviation: &gimli::Abbreviation,
    unit: UnitRef<Reader<'d>>,
) -> Result<(Scope<'d>, Ranges), Failure> {
    let mut scope =
        Scope { caller: None, depth: 0, name: Named::default(), call_file: None, call_line: 0 };
    let version = unit.header.version();
    let ranges = Ranges::read(entries, abbreviation, unit, |attribute| {
        match attribute.name() {
            // Before DWARF 5, file 0 was none.
            gimli::DW_AT_call_file => {
                if let AttributeValue::FileIndex(file) = attribute.value() {
                    scope.call_file = (file > 0 || version >= 5).then_some(file);
                }
            }
            gimli::DW_AT_call_line => {
                let line = attribute.udata_value().unwrap_or(0);
                scope.call_line = u32::try_from(line).unwrap_or(0);
            }
            _ => scope.name.add(&attribute),
        }
        Ok(())
    })?;
    Ok((scope, ranges))
}

/// An entry whose children are being read.
struct Open {
    depth: isize,
    scope: usize,
    /// The targets that it covers, ascending.
    targets: Vec<usize>,
}

struct Search<'t, 'd> {
    targets: &'t Targets,
    scopes: Vec<Scope<'d>>,
    innermost: Vec<Option<usize>>,
    /// Bytes of the function of each target.
    sizes: Vec<u64>,
    /// Targets without a function.
    missing: usize,
    open: Vec<Open>,
}

impl<'t, 'd> Search<'t, 'd> {
    fn new(targets: &'t Targets) -> Self {
        let count = targets.len();
        Search {
            targets,
            scopes: Vec::new(),
            innermost: vec![None; count],
            sizes: vec![u64::MAX; count],
            missing: count,
            open: Vec::new(),
        }
    }

    /// An entry at `depth` follows.
    fn close(&mut self, depth: isize) {
        while self.open.pop_if(|open| open.depth >= depth).is_some() {}
    }

    /// Whether all targets have their function, and it is over.
    fn is_complete(&self) -> bool {
        self.missing == 0 && self.open.is_empty()
    }

    fn takes_inlined(&self) -> bool {
        self.open.last().is_some_and(|open| self.scopes[open.scope].depth < MAX_DEPTH)
    }

    /// Adds a function if it has targets that no smaller one has.
    fn add_function(
        &mut self,
        scope: Scope<'d>,
        ranges: &Ranges,
        unit: UnitRef<Reader<'d>>,
        depth: isize,
        meter: &mut Meter,
    ) -> Result<(), Failure> {
        let (mut size, mut covered) = (0u64, Vec::new());
        ranges.for_each(unit, |range| {
            meter.step()?;
            let targets = self.targets.within(range);
            for _ in targets.clone() {
                meter.step()?;
            }
            covered.extend(targets);
            keep_distinct(&mut covered, self.targets.len());
            size = size.saturating_add(range.end.saturating_sub(range.begin));
            Ok(())
        })?;
        covered.sort_unstable();
        covered.dedup();
        covered.retain(|&target| size < self.sizes[target]);
        for &target in &covered {
            self.missing -= usize::from(self.innermost[target].is_none());
            self.sizes[target] = size;
        }
        self.add(scope, covered, depth);
        Ok(())
    }

    /// Adds an inlined call if it has targets of the scope around it.
    fn add_inlined(
        &mut self,
        mut scope: Scope<'d>,
        ranges: &Ranges,
        unit: UnitRef<Reader<'d>>,
        depth: isize,
        meter: &mut Meter,
    ) -> Result<(), Failure> {
        let Some(around) = self.open.last() else { return Ok(()) };
        let mut covered = Vec::new();
        ranges.for_each(unit, |range| {
            meter.step()?;
            let ends_before = |&target: &usize| self.targets.address(target) < range.begin;
            let from = around.targets.partition_point(ends_before);
            for &target in &around.targets[from..] {
                meter.step()?;
                if self.targets.address(target) >= range.end {
                    break;
                }
                covered.push(target);
            }
            keep_distinct(&mut covered, around.targets.len());
            Ok(())
        })?;
        covered.sort_unstable();
        covered.dedup();
        // A smaller function may have taken some.
        covered.retain(|&target| self.innermost[target] == Some(around.scope));
        scope.caller = Some(around.scope);
        scope.depth = self.scopes[around.scope].depth + 1;
        self.add(scope, covered, depth);
        Ok(())
    }

    fn add(&mut self, scope: Scope<'d>, targets: Vec<usize>, depth: isize) {
        if targets.is_empty() {
            return;
        }
        let index = self.scopes.len();
        for &target in &targets {
            self.innermost[target] = Some(index);
        }
        self.scopes.push(scope);
        self.open.push(Open { depth, scope: index, targets });
    }
}

/// Ranges that repeat must not add up.
fn keep_distinct(targets: &mut Vec<usize>, count: usize) {
    if targets.len() > 2 * count {
        targets.sort_unstable();
        targets.dedup();
    }
}
