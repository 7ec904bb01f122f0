//! Unpacks compressed sections, never into more than they may become.

use std::borrow::Cow;
use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use object::{CompressedData, CompressionFormat, Object, ObjectSection};

use super::budget::Budget;

/// Compressed sections may claim to be this many times as large when
/// uncompressed, which no real debug information comes close to; memory for
/// what they claim is allocated before it can be checked.
const MAX_EXPANSION: u64 = 128;

/// A larger `.gnu_debugdata` is refused, in bytes when unpacked.
const MAX_MINI: u64 = 256 << 20;

/// Memory that xz may use beside that, in KiB; `xz -9` needs 65 MiB.
const MAX_DICTIONARY_KIB: u32 = 128 << 10;

/// A section's content; fails with the cause.
pub(super) fn decompress<'d>(
    data: CompressedData<'d>,
    budget: &Budget,
) -> Result<Cow<'d, [u8]>, String> {
    let CompressedData { format, data, uncompressed_size: size } = data;
    if format == CompressionFormat::None {
        return Ok(Cow::Borrowed(data));
    }
    if size / MAX_EXPANSION > data.len() as u64 {
        return Err(format!("cannot be {size} bytes"));
    }
    budget.allocate(size).map_err(|limit| limit.to_string())?;
    let size = usize::try_from(size).map_err(|_| format!("cannot be {size} bytes"))?;
    let content = match format {
        CompressionFormat::Zlib => inflate(data, size),
        CompressionFormat::Zstandard => {
            zstd::bulk::decompress(data, size).map_err(|e| e.to_string())
        }
        format => Err(format!("compressed in an unknown way ({format:?})")),
    }?;
    match content.len() == size {
        true => Ok(Cow::Owned(content)),
        false => Err(format!("has {} bytes instead of {size}", content.len())),
    }
}

fn inflate(data: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    content.try_reserve_exact(size).map_err(|e| e.to_string())?;
    let status = Decompress::new(true)
        .decompress_vec(data, &mut content, FlushDecompress::Finish)
        .map_err(|e| e.to_string())?;
    match status {
        Status::StreamEnd => Ok(content),
        _ => Err("ends too early or is longer than it says".to_owned()),
    }
}

/// The ELF file in `.gnu_debugdata` (*MiniDebugInfo*): a symbol table that
/// distributions leave in programs, compressed by xz. `None` if there is none.
pub(super) fn mini_debug_info(
    file: &object::File,
    budget: &Budget,
) -> Option<Result<Vec<u8>, String>> {
    let data = file.section_by_name(".gnu_debugdata")?.data().ok()?;
    let unpack = || {
        // How large it will be stands nowhere.
        let limit = (data.len() as u64).saturating_mul(MAX_EXPANSION).min(MAX_MINI);
        budget.allocate(limit).map_err(|limit| limit.to_string())?;
        let mut content = Vec::new();
        let reader = lzma_rust2::XzReader::new_mem_limit(data, true, MAX_DICTIONARY_KIB);
        let mut reader = reader.take(limit + 1);
        reader.read_to_end(&mut content).map_err(|e| e.to_string())?;
        match content.len() as u64 > limit {
            true => Err("becomes too large".to_owned()),
            false => Ok(content),
        }
    };
    Some(unpack().map_err(|cause| format!(".gnu_debugdata: {cause}")))
}
