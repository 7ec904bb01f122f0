//! Inputs that are packed.

use std::io::Write;

use rz_profile::fixture;
use rz_profile::foreign::{InputFormat, Recognized};
use rz_profile::model::{Profile, Unit};

use super::{imported, loaded, refused, text, written};
use crate::export::{ExportOptions, Format};

/// What is packed is what is in it.
#[test]
fn packed_inputs() {
    let plain = "app;main 3\n";
    let stacks = |profile: &Profile| text(profile, &ExportOptions::default());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(plain.encode_utf16().flat_map(u16::to_le_bytes));
    for packed in [
        zip(&[("folder/", b"", 0), ("stacks", plain.as_bytes(), 0)]),
        zip(&[("stacks", plain.as_bytes(), 8)]),
        gzip.finish().unwrap(),
        zstd::encode_all(plain.as_bytes(), 1).unwrap(),
        [b"\xef\xbb\xbf", plain.as_bytes()].concat(),
        utf16,
    ] {
        let profile = loaded(&packed);
        assert_eq!((stacks(&profile), profile.events[0].unit), (plain.to_owned(), Unit::Count));
    }
}

/// An archive of files: names, contents, and 0 for as they are or 8 for deflated.
fn zip(files: &[(&str, &[u8], u16)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content, method) in files {
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflate.write_all(content).unwrap();
        let deflated = deflate.finish().unwrap();
        let packed = if *method == 8 { &deflated } else { *content };
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let mut fields = vec![20, 0, 0, 0];
        fields.extend(method.to_le_bytes());
        fields.extend([0; 4]);
        let sizes = [sum.sum(), packed.len() as u32, content.len() as u32];
        fields.extend(sizes.map(u32::to_le_bytes).concat());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let at = (archive.len() as u32).to_le_bytes();
        archive.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), packed].concat());
        let behind = [&[0; 10], &at[..]].concat();
        directory.extend([b"PK\x01\x02\x14\0", &fields[..], &behind, name.as_bytes()].concat());
    }
    let numbers = [directory.len() as u32, archive.len() as u32].map(u32::to_le_bytes).concat();
    [&archive[..], &directory, b"PK\x05\x06", &[0; 8], &numbers, &[0, 0]].concat()
}

/// What is packed several times is recognized by all who look, and so is a trace.
#[test]
fn packings_within_each_other() {
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let found = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Recognized::of_file(file.path()).unwrap()
    };
    let stacks = "app;main 3\r\napp;other 4\r\n";
    let utf16: Vec<u8> = stacks.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let zipped = zip(&[("stacks", &utf16, 8)]);
    let in_zstd = zstd::encode_all(&zipped[..], 1).unwrap();
    for packed in [zipped.clone(), gzip(&zipped), in_zstd, zip(&[("a", &gzip(&utf16), 0)])] {
        assert_eq!(found(&packed), Some(Recognized::Readable(InputFormat::Folded)));
        assert_eq!(text(&loaded(&packed), &ExportOptions::default()), "app;main 3\napp;other 4\n");
    }
    let said = |bytes: &[u8]| match found(bytes) {
        Some(Recognized::Unreadable(what)) => what,
        other => panic!("{other:?}"),
    };
    let several = zip(&[("a.txt", b"a;b 3\n", 8), ("b.txt", b"b 1\n", 0)]);
    assert!(said(&gzip(&several)).starts_with("a zip archive of 2 files, a.txt, b.txt: unpack it"));
    assert!(said(&gzip(b"BZh91AY")).starts_with("compressed by bzip2"));
    let (_, trace) = imported(stacks.as_bytes()).unwrap();
    assert_eq!(found(&trace), None);
    assert!(said(&gzip(&trace)).starts_with("a trace of rz that is packed: unpack it with gunzip"));
    let perfetto = written(&fixture::profile(), Format::Perfetto, &ExportOptions::default());
    assert!(refused(&perfetto).starts_with("this is a trace of Perfetto: traceconv json"));
}

#[test]
fn archives_that_are_refused() {
    let several = zip(&[("a.txt", b"a;b 3\n", 8), ("b.txt", b"b 1\n", 0)]);
    assert_eq!(
        refused(&several),
        "this is a zip archive of 2 files, a.txt, b.txt: unpack it, and give the one"
    );
    assert_eq!(refused(&zip(&[])), "this is a zip archive of no file");
    let bundle = zip(&[("a.trace/form.template", b"x", 0), ("a.trace/b", b"y", 0)]);
    assert!(refused(&bundle).starts_with("this is a zip archive, of a recording of Instruments"));
    let whole = zip(&[("stacks", b"app;main 3\napp;other 4\n", 8)]);
    for length in 4..whole.len() {
        let said = refused(&whole[..length]);
        assert!(said.contains("not all of one"), "{said}");
    }
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    refused(&damaged);
    // Its size in the directory.
    for at in whole.len() - 22 - 52..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        if let Err(error) = imported(&damaged) {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}
