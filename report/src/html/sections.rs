//! The data of a page, in pieces that are unpacked when they are needed.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::columns::{Column, joined};

/// Sections by name.
#[derive(Debug, Default)]
pub(super) struct Sections(Vec<(String, Vec<u8>)>);

/// The same as they are in a page.
#[derive(Debug, Default)]
pub(super) struct Packed(Vec<(String, String)>);

impl Sections {
    pub(super) fn add(&mut self, name: &str, columns: &[Column]) {
        self.add_bytes(name, joined(columns));
    }

    pub(super) fn add_json(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.add_bytes(name, serde_json::to_vec(value)?);
        Ok(())
    }

    pub(super) fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.push((name.to_owned(), bytes));
    }

    /// Names and bytes.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.0.into_iter()
    }

    pub(super) fn packed(&self) -> io::Result<Packed> {
        let pack = |(name, bytes): &(String, Vec<u8>)| {
            // Without a time, so that the same profile gives the same page.
            let mut packed = GzEncoder::new(Vec::new(), Compression::new(7));
            packed.write_all(bytes)?;
            Ok((name.clone(), BASE64_STANDARD.encode(packed.finish()?)))
        };
        self.0.iter().map(pack).collect::<io::Result<_>>().map(Packed)
    }
}

impl Packed {
    pub(super) fn extend(&mut self, other: Packed) {
        self.0.extend(other.0);
    }

    /// In bytes, as packed.
    pub(super) fn size(&self) -> u64 {
        self.0.iter().map(|(_, packed)| packed.len() as u64).sum()
    }

    /// Names and packed texts, which are letters, digits, `+`, `/` and `=`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, packed)| (name.as_str(), packed.as_str()))
    }
}
