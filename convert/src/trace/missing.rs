//! What is missing of a damaged trace: where, of which kind, and from when.

use std::fmt;
use std::io::{Read, Seek};

use rz_format::{Block, BlockHeader, BlockKind, Damage, FormatError, IndexEntry, Reader};

/// A part of a trace that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is wrong, and where in the file.
    pub damage: Damage,
    /// How many blocks are missing; `None` if that is not known.
    pub blocks: Option<u64>,
    /// What they held, as far as is known: each kind with the number of its blocks.
    pub kinds: Vec<(BlockKind, u64)>,
    /// From when on something is missing, in nanoseconds on the trace's clock.
    pub from_ns: u64,
    /// Until when; `None` for the end of the recording, which is not known.
    pub to_ns: Option<u64>,
    /// When the file was created.
    created_ns: u64,
}

impl Missing {
    /// Whether only the index is missing, and nothing of what was recorded.
    pub fn is_index(&self) -> bool {
        matches!(self.kinds[..], [(BlockKind::INDEX, _)])
    }

    /// What was there, in words, such as `2 blocks of samples`.
    pub fn what(&self) -> Option<String> {
        let of_kind = |&(kind, count): &(BlockKind, u64)| match (kind, count) {
            (BlockKind::INDEX, _) => "the index".to_owned(),
            (kind, 1) => format!("a block of {kind}"),
            (kind, count) => format!("{count} blocks of {kind}"),
        };
        let known: u64 = self.kinds.iter().map(|(_, count)| count).sum();
        let rest = self.blocks.and_then(|blocks| blocks.checked_sub(known)).filter(|&n| n > 0);
        let rest = rest.map(|count| match (known, count) {
            (0, 1) => "1 block of unknown kind".to_owned(),
            (0, count) => format!("{count} blocks of unknown kind"),
            (_, count) => format!("{count} more"),
        });
        let parts: Vec<String> = self.kinds.iter().map(of_kind).chain(rest).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// When that was, in words.
    pub fn when(&self) -> String {
        let seconds = |ns: u64| ns.saturating_sub(self.created_ns) as f64 / 1e9;
        let from = seconds(self.from_ns);
        match self.to_ns {
            None => format!("from {from:.3} s on"),
            Some(to_ns) => format!("from {from:.3} to {:.3} s", seconds(to_ns)),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.damage)?;
        match (&self.damage, self.what()) {
            (Damage::NotClosed, _) => Ok(()),
            _ if self.is_index() => f.write_str(" (the index)"),
            (_, Some(what)) => write!(f, " ({what}, {})", self.when()),
            (_, None) => write!(f, " ({})", self.when()),
        }
    }
}

/// Goes through a trace, and remembers where its blocks are.
pub(crate) struct Walk<R> {
    reader: Reader<R>,
    seen: Vec<Seen>,
}

/// A whole block.
struct Seen {
    offset: u64,
    first_ns: u64,
    /// The latest time up to here.
    latest_ns: u64,
}

impl<R: Read + Seek> Walk<R> {
    pub(crate) fn new(reader: Reader<R>) -> Self {
        Walk { reader, seen: Vec::new() }
    }

    /// What is read.
    pub(crate) fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// The next block that can be used.
    pub(crate) fn next(&mut self) -> Result<Option<(BlockHeader, Block)>, FormatError> {
        while let Some(stored) = self.reader.next_stored_if(|_| true)? {
            match stored.decode() {
                Ok(block) if self.reader.admit(&stored, block.rows()) => {
                    let header = *stored.header();
                    self.seen.push(Seen {
                        offset: stored.offset(),
                        first_ns: header.first_ns,
                        latest_ns: self.latest_ns().max(header.last_ns),
                    });
                    return Ok(Some((header, block)));
                }
                Ok(_) => break,
                Err(damage) => self.reader.add_damage(damage),
            }
        }
        Ok(None)
    }

    fn latest_ns(&self) -> u64 {
        self.seen.last().map_or(self.reader.header().created_ns, |seen| seen.latest_ns)
    }

    /// What could not be used, in the order of the file; to be called at its end.
    pub(crate) fn missing(&mut self) -> Result<Vec<Missing>, FormatError> {
        let damage = self.reader.damage().to_vec();
        let mut all: Vec<Missing> = Vec::new();
        for damage in damage {
            // Numbers are missing because bytes were skipped.
            if let Damage::MissingBlocks { offset, count } = damage
                && let Some(last) = all.last_mut()
                && let Damage::Skipped { offset: start, length } = last.damage
                && start + length == offset
            {
                last.blocks = Some(count.into());
                continue;
            }
            let expected = self.reader.expected(&damage)?;
            all.push(self.place(damage, &expected));
        }
        // What stands between blocks whose numbers follow each other was none.
        all.iter_mut().filter(|missing| missing.blocks == Some(0)).for_each(|m| m.kinds.clear());
        Ok(all)
    }

    fn place(&self, damage: Damage, expected: &[IndexEntry]) -> Missing {
        let at = self.seen.partition_point(|seen| seen.offset < damage.offset());
        let before_ns = at.checked_sub(1).map(|at| self.seen[at].latest_ns);
        let created_ns = self.reader.header().created_ns;
        let before_ns = before_ns.unwrap_or(created_ns);
        let behind = self.seen.get(at).filter(|_| damage.offset() != u64::MAX);
        let (from_ns, to_ns) = match behind {
            _ if !expected.is_empty() && !reaches_the_end(&damage) => (
                expected.iter().map(|entry| entry.first_ns).min().unwrap_or(before_ns),
                expected.iter().map(|entry| entry.last_ns).max(),
            ),
            Some(behind) => (before_ns, Some(behind.first_ns.max(before_ns))),
            None => (before_ns, None),
        };
        let mut kinds: Vec<(BlockKind, u64)> = Vec::new();
        for entry in expected {
            match kinds.iter_mut().find(|(kind, _)| *kind == entry.kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((entry.kind, 1)),
            }
        }
        let blocks = match damage {
            Damage::MissingBlocks { count, .. } => Some(count.into()),
            Damage::BadBlock { .. } => Some(1),
            Damage::Skipped { .. } => Some(0),
            _ => None,
        };
        Missing { damage, blocks, kinds, from_ns, to_ns, created_ns }
    }
}

/// Whether all that comes after this is missing as well.
fn reaches_the_end(damage: &Damage) -> bool {
    matches!(damage, Damage::CutOff { .. } | Damage::TooMuch { .. } | Damage::NotClosed)
}
