//! Traces that are not whole.

use rz_format::rebuild_index;

use super::fixture::*;
use crate::merge::MergeError;

/// A trace with a damaged block of samples.
fn damaged(mut bytes: Vec<u8>) -> Vec<u8> {
    let index = rebuild_index(&mut std::io::Cursor::new(&bytes)).unwrap();
    bytes[index[2].offset as usize + 50] ^= 1;
    bytes
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let bad = damaged(same_boot(1));
    let traces = Traces::new(&[("good.rz", &same_boot(2)), ("bad.rz", &bad)]);
    let error = traces.try_merge(false).unwrap_err();
    assert!(matches!(error, MergeError::Damaged { places: 2, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/bad.rz: ") && text.contains("--keep-going"), "{text}");
    for bytes in [&same_boot(1)[..900], b"no trace", b""] {
        let traces = Traces::new(&[("good.rz", &same_boot(2)), ("bad.rz", bytes)]);
        let text = traces.try_merge(false).unwrap_err().to_string();
        assert!(text.contains("/bad.rz: "), "{text}");
    }
}

#[test]
fn the_rest_is_merged_on_demand() {
    let bad = damaged(same_boot(1));
    let cut = same_boot(3);
    let cut = &cut[..cut.len() - 300];
    let traces = Traces::new(&[
        ("good.rz", &same_boot(2)),
        ("bad.rz", &bad),
        ("cut.rz", cut),
        ("no.rz", b"no trace"),
    ]);
    let (bytes, merged) = traces.try_merge(true).unwrap();
    let of = |name: &str| {
        let path = traces.path(name).display().to_string();
        merged.damage.iter().filter(|text| text.starts_with(&path)).count()
    };
    assert_eq!([of("good.rz"), of("bad.rz"), of("cut.rz"), of("no.rz")], [0, 2, 1, 1]);
    assert_eq!(merged.sources, 3);
    let profile = loaded(&bytes);
    let labels: Vec<(&str, u64, bool)> =
        profile.sources.iter().map(|s| (&*s.label, s.samples, s.cut_short)).collect();
    assert_eq!(labels, [("bad", 200, false), ("good", 300, false), ("cut", 300, false)]);
    for expected in ["no.rz is left out: ", "bad: ", "cut: the file is cut off"] {
        let found = profile.info.notes.iter().any(|note| note.starts_with(expected));
        assert!(found, "{expected}: {:?}", profile.info.notes);
    }
}

#[test]
fn nothing_is_left() {
    assert!(matches!(Traces::new(&[]).try_merge(true), Err(MergeError::NothingToMerge)));
    let text = Traces::new(&[("x.rz", b"x")]).try_merge(true).unwrap_err().to_string();
    assert!(text.contains("/x.rz: not an rz trace"), "{text}");
}

#[test]
fn lost_definitions_stay_lost() {
    let whole = same_boot(1);
    let index = rebuild_index(&mut std::io::Cursor::new(&whole)).unwrap();
    for block in 0..index.len() {
        let mut bytes = whole.clone();
        bytes[index[block].offset as usize + 45] ^= 1;
        let expected = loaded(&bytes);
        let (merged, _) = Traces::new(&[("t.rz", &bytes)]).try_merge(true).unwrap();
        let found = loaded(&merged);
        let describe = crate::load::tests::fixture::describe;
        assert_eq!(describe(&found), describe(&expected), "block {block}");
        assert_eq!(found.totals, expected.totals, "block {block}");
        assert_eq!(found.inexact, expected.inexact, "block {block}");
        assert_eq!(found.calls, expected.calls, "block {block}");
    }
}
