//! Looks places up in a source map.
//!
//! A map is gone through once, for all places of a file, and nothing of it is
//! kept but what is asked for: it may be a hundred times as large as what a
//! profile needs of it, or made to do harm.

use std::collections::BTreeMap;

use super::map::{FlatMap, Place, cut, parse};

/// What a place was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Original {
    /// The generated place that the map says it of, which is at the one asked
    /// for or before.
    pub(super) at: Place,
    /// The source, as the map names it.
    pub(super) source: String,
    /// Line in the source, from 0.
    pub(super) line: u32,
    /// Column in that line, from 0.
    pub(super) column: u32,
    /// What stands there was called so.
    pub(super) name: Option<String>,
}

/// Looks places up, which ascend, in the map that a file has as `bytes`.
/// Places that it says nothing of are left out.
///
/// # Errors
/// With the cause, as the second half of a sentence, if it is no map or is
/// damaged.
pub(super) fn look_up(bytes: &[u8], places: &[Place]) -> Result<BTreeMap<Place, Original>, String> {
    let parts = parse(bytes)?;
    let mut found = BTreeMap::new();
    for (index, (start, map)) in parts.iter().enumerate() {
        let from = places.partition_point(|place| place < start);
        let next = parts.get(index + 1);
        let to = next.map_or(places.len(), |(next, _)| places.partition_point(|p| p < next));
        if let Some(places) = places.get(from..to).filter(|places| !places.is_empty()) {
            map.look_up(*start, places, &mut found)?;
        }
    }
    Ok(found)
}

/// What a segment of the mappings says: where it is, and what from.
#[derive(Clone, Copy)]
struct Segment {
    at: Place,
    source: Option<(usize, Place, Option<usize>)>,
}

impl FlatMap<'_> {
    /// Looks up places; the map begins at `origin`.
    fn look_up(
        &self,
        origin: Place,
        places: &[Place],
        found: &mut BTreeMap<Place, Original>,
    ) -> Result<(), String> {
        let mut state = State::default();
        let mut places = places.iter().copied().peekable();
        let mut last: Option<Segment> = None;
        let absolute = |at: Place| Place {
            line: origin.line.saturating_add(at.line),
            column: at.column.saturating_add(if at.line == 0 { origin.column } else { 0 }),
        };
        let mut answer_before = |limit: Place, last: Option<Segment>| {
            let limit = absolute(limit);
            while let Some(place) = places.next_if(|place| *place < limit) {
                let Some(Segment { at, source: Some((source, original, name)) }) = last else {
                    continue;
                };
                let at = absolute(at);
                if at.line == place.line {
                    found.insert(place, self.original(at, source, original, name));
                }
            }
            places.peek().is_none()
        };
        for (line, segments) in self.mappings.split(';').enumerate() {
            let at = Place { line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 };
            state.column = 0;
            for segment in segments.split(',').filter(|segment| !segment.is_empty()) {
                let segment = state.segment(at.line, segment, self)?;
                if answer_before(segment.at, last) {
                    return Ok(());
                }
                // Segments ascend; one that does not says nothing.
                if last.is_none_or(|last| last.at <= segment.at) {
                    last = Some(segment);
                }
            }
            let next = Place { line: at.line.saturating_add(1), column: 0 };
            if answer_before(next, last) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn original(
        &self,
        at: Place,
        source: usize,
        Place { line, column }: Place,
        name: Option<usize>,
    ) -> Original {
        let source = self.source(source);
        let name = name.and_then(|name| self.names.0.get(name));
        let name = name.map(|name| cut(&name.0)).filter(|name| !name.is_empty());
        Original { at, source, line, column, name }
    }
}

/// Numbers that each segment adds to.
#[derive(Default)]
struct State {
    column: i64,
    source: i64,
    line: i64,
    source_column: i64,
    name: i64,
}

impl State {
    /// Reads a segment of a line.
    fn segment(&mut self, line: u32, text: &str, map: &FlatMap) -> Result<Segment, String> {
        let damaged = || format!("its mappings for line {} make no sense", u64::from(line) + 1);
        let mut numbers = [0; 5];
        let mut count = 0;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let slot = numbers.get_mut(count).ok_or_else(damaged)?;
            *slot = read_number(&mut rest).ok_or_else(damaged)?;
            count += 1;
        }
        let number = |sum: &mut i64, delta: i64| {
            *sum += delta;
            u32::try_from(*sum).map_err(|_| damaged())
        };
        let at = Place { line, column: number(&mut self.column, numbers[0])? };
        if count == 1 {
            return Ok(Segment { at, source: None });
        }
        let source = number(&mut self.source, numbers[1])? as usize;
        let line = number(&mut self.line, numbers[2])?;
        let column = number(&mut self.source_column, numbers[3])?;
        let name = match count {
            4 => None,
            5 => Some(number(&mut self.name, numbers[4])? as usize),
            _ => return Err(damaged()),
        };
        let is_known = source < map.sources.0.len();
        if !is_known || name.is_some_and(|name| name >= map.names.0.len()) {
            return Err(damaged());
        }
        Ok(Segment { at, source: Some((source, Place { line, column }, name)) })
    }
}

/// Takes a number off the front, in base 64 with the sign in the lowest bit;
/// `None` if there is none or it is longer than 32 bits.
fn read_number(text: &mut &[u8]) -> Option<i64> {
    const MAX_DIGITS: u32 = 7;
    let mut value = 0_i64;
    for digit in 0..MAX_DIGITS {
        let (&first, rest) = text.split_first()?;
        *text = rest;
        let bits = match first {
            b'A'..=b'Z' => first - b'A',
            b'a'..=b'z' => first - b'a' + 26,
            b'0'..=b'9' => first - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value |= i64::from(bits & 31) << (5 * digit);
        if bits & 32 == 0 {
            return Some(if value & 1 == 1 { -(value >> 1) } else { value >> 1 });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:column` of each place asked for, and what comes of it.
    fn check(map: &str, places: &[(u32, u32)], expected: &[&str]) {
        let places: Vec<Place> =
            places.iter().map(|&(line, column)| Place { line, column }).collect();
        let found = look_up(map.as_bytes(), &places).unwrap();
        let text = |place: &Place| match found.get(place) {
            None => "-".to_owned(),
            Some(Original { at, source, line, column, name }) => format!(
                "{}:{} {source}:{line}:{column} {}",
                at.line,
                at.column,
                name.as_deref().unwrap_or_default()
            ),
        };
        let all: Vec<String> = places.iter().map(text).collect();
        let all: Vec<&str> = all.iter().map(|text| text.trim_end()).collect();
        assert_eq!(all, expected, "{map}");
    }

    #[test]
    fn places_belong_to_the_segment_before_them_on_their_line() {
        // 0:0 → a:0:0 x; 0:4 → nothing; 0:8 → b:2:4; 2:1 → b:1:4 y.
        let map = r#"{"version":3,"sources":["a","b"],"names":["x","y"],
            "mappings":"AAAAA,I,ICEI;;CADAC"}"#;
        let places = [(0, 0), (0, 3), (0, 4), (0, 9), (1, 0), (2, 0), (2, 5), (3, 0)];
        let expected =
            ["0:0 a:0:0 x", "0:0 a:0:0 x", "-", "0:8 b:2:4", "-", "-", "2:1 b:1:4 y", "-"];
        check(map, &places, &expected);
    }

    #[test]
    fn roots_and_odd_texts() {
        let map = r#")]}'
            {"version":3,"sourceRoot":"/s/","sources":["a\u0062",null],"names":[7],
            "sourcesContent":["text",null],"mappings":"AAAAA,CCAA"}"#;
        check(map, &[(0, 0), (0, 1)], &["0:0 /s/ab:0:0 7", "0:1 /s/:0:0"]);
    }

    #[test]
    fn sections_begin_where_they_say() {
        let map = r#"{"version":3,"sections":[
            {"offset":{"line":0,"column":0},"map":{"sources":["a"],"mappings":"AAAA"}},
            {"offset":{"line":1,"column":10},"map":{"sources":["b"],"mappings":"AAAA;AACA"}}]}"#;
        let expected = ["0:0 a:0:0", "-", "1:10 b:0:0", "2:0 b:1:0"];
        check(map, &[(0, 5), (1, 9), (1, 12), (2, 3)], &expected);
    }

    #[test]
    fn damage_is_said_and_not_believed() {
        let places = [Place { line: 9, column: 9 }];
        let check = |map: &str, cause: &str| {
            let error = look_up(map.as_bytes(), &places).unwrap_err();
            assert!(error.contains(cause), "{map}: {error}");
        };
        check("", "no source map");
        check(r#"{"mappings":7}"#, "no source map");
        let of =
            |mappings: &str| format!(r#"{{"sources":["a"],"names":[],"mappings":"{mappings}"}}"#);
        for wrong in ["AAAA;D", "AA", "AAAAAA", "AAAAA", "ACAA", "A!AA", "gggggggggA", "g", "AADA"]
        {
            let line = if wrong.contains(';') { 2 } else { 1 };
            check(&of(wrong), &format!("mappings for line {line} make no sense"));
        }
        // Sections of sections, and many of them.
        check(&r#"{"sections":["#.repeat(1000), "no source map");
        let many = format!(r#"{{"mappings":"","names":[{}0]}}"#, "0,".repeat(2 << 20));
        check(&many, "too many");
    }
}
