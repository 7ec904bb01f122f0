//! Traces that are cut off or damaged open, say what is missing, and never
//! give a wrong value.

use std::io::Cursor;
use std::thread;

use proptest::prelude::*;
use rz_format::{
    Block, BlockKind, Damage, FormatError, IndexEntry, Reader, read_index, rebuild_index,
};

mod common;

fn read_all(bytes: &[u8]) -> Result<(Vec<Block>, Vec<Damage>), FormatError> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block()? {
        blocks.push(block);
    }
    Ok((blocks, reader.damage().to_vec()))
}

fn good_blocks() -> Vec<Block> {
    let (blocks, damage) = read_all(&common::small_trace()).unwrap();
    assert_eq!(damage, []);
    blocks
}

/// The traces of released versions, and how many blocks they have: each version's has what the
/// one before has, and then more.
const VECTORS: [(&[u8], usize); 12] = [
    (include_bytes!("../vectors/v1.0/small.rz"), 6),
    (include_bytes!("../vectors/v1.1/small.rz"), 11),
    (include_bytes!("../vectors/v1.2/small.rz"), 14),
    (include_bytes!("../vectors/v1.3/small.rz"), 15),
    (include_bytes!("../vectors/v1.4/small.rz"), 18),
    (include_bytes!("../vectors/v1.5/small.rz"), 19),
    (include_bytes!("../vectors/v1.6/small.rz"), 22),
    (include_bytes!("../vectors/v1.7/small.rz"), 24),
    (include_bytes!("../vectors/v1.8/small.rz"), 26),
    (include_bytes!("../vectors/v1.9/small.rz"), 29),
    (include_bytes!("../vectors/v1.10/small.rz"), 30),
    (include_bytes!("../vectors/v1.11/small.rz"), 33),
];

#[test]
fn every_vector_of_a_released_version_stays_readable() {
    let good = good_blocks();
    for (vector, count) in VECTORS {
        let (blocks, damage) = read_all(vector).unwrap();
        assert_eq!(damage, []);
        assert_eq!(blocks, good[..count]);
    }
    assert_eq!(good.len(), 33);
}

/// Eighteen blocks of 2²⁰ samples each, in 62 bytes; 2²⁴ and a few may be there.
#[test]
fn a_file_that_stands_for_too_much_is_read_up_to_its_limit() {
    let vector = include_bytes!("../vectors/bad/too-many-rows.rz");
    let (blocks, damage) = read_all(vector).unwrap();
    assert_eq!(blocks.iter().map(Block::rows).sum::<usize>(), 16 << 20);
    let [Damage::TooMuch { offset, kind: BlockKind::SAMPLES }] = damage[..] else {
        panic!("{damage:?}")
    };
    let length = (vector.len() - rz_format::HEADER_LEN) as u64 / 18;
    assert_eq!(offset, rz_format::HEADER_LEN as u64 + 16 * length);
}

/// As many equal samples as no recording has are stored without compression.
#[test]
fn what_a_writer_makes_is_within_the_limits() {
    let header = rz_format::FileHeader::new([1; 16], 0, 0);
    let mut writer = rz_format::TraceWriter::new(Vec::new(), &header).unwrap();
    let mut samples = vec![rz_format::Sample::default(); rz_format::MAX_ROWS];
    for _ in 0..20 {
        writer.write_samples(&mut samples).unwrap();
    }
    let (blocks, damage) = read_all(&writer.finish().unwrap()).unwrap();
    assert_eq!((blocks.len(), damage), (20, vec![]));
}

/// Every bit of each version's.
#[test]
fn a_flipped_bit_never_changes_a_value() {
    let good = &good_blocks();
    let flip = |(vector, count): (&[u8], usize)| {
        let mut trace = vector.to_vec();
        for bit in 0..8 * trace.len() {
            trace[bit / 8] ^= 1 << (bit % 8);
            if let Ok((blocks, damage)) = read_all(&trace) {
                // Some of them, in their order.
                let mut rest = good.iter();
                assert!(blocks.iter().all(|block| rest.any(|good| good == block)), "{bit}");
                assert!(blocks.len() == count || !damage.is_empty(), "{bit}");
            }
            trace[bit / 8] ^= 1 << (bit % 8);
        }
    };
    thread::scope(|scope| {
        for vector in VECTORS {
            scope.spawn(move || flip(vector));
        }
    });
}

#[test]
fn cut_off_anywhere_gives_a_prefix_and_says_so() {
    let good = good_blocks();
    for (trace, _) in VECTORS {
        let index = rebuild_index(&mut Cursor::new(trace)).unwrap();
        let end = |entry: &IndexEntry| entry.offset + 40 + u64::from(entry.stored_len);
        let ends: Vec<u64> = index.iter().map(end).collect();
        for length in 0..trace.len() {
            let result = read_all(&trace[..length]);
            if length < rz_format::HEADER_LEN {
                assert!(matches!(result, Err(FormatError::TooShort { .. })), "{length}");
                continue;
            }
            let (blocks, damage) = result.unwrap();
            let whole = ends.iter().filter(|end| **end <= length as u64).count();
            assert_eq!(blocks, good[..whole], "{length}");
            assert!(
                matches!(damage[..], [Damage::CutOff { .. }] | [Damage::NotClosed]),
                "{length}: {damage:?}"
            );
        }
    }
}

#[test]
fn a_damaged_block_is_skipped_and_reported() {
    let mut trace = common::small_trace();
    let good = good_blocks();
    let index = rebuild_index(&mut Cursor::new(&trace)).unwrap();
    let stacks = index[1];
    trace[stacks.offset as usize + 50] ^= 0x10;
    let (blocks, damage) = read_all(&trace).unwrap();
    assert_eq!(blocks.len(), good.len() - 1);
    let length = 40 + u64::from(stacks.stored_len);
    assert_eq!(
        damage,
        [
            Damage::Skipped { offset: stacks.offset, length },
            Damage::MissingBlocks { offset: stacks.offset + length, count: 1 },
        ]
    );
}

#[test]
fn the_written_index_equals_the_rebuilt_one() {
    let trace = common::small_trace();
    let written = read_index(&mut Cursor::new(&trace)).unwrap();
    assert_eq!(written.len(), 33);
    assert_eq!(written, rebuild_index(&mut Cursor::new(&trace)).unwrap());
    let cut = &trace[..trace.len() - 3];
    assert_eq!(written, read_index(&mut Cursor::new(cut)).unwrap());
}

#[test]
fn unknown_blocks_are_refused_or_skipped_by_their_critical_bit() {
    let check = |kind: u16| {
        let mut trace = common::small_trace();
        let at = rebuild_index(&mut Cursor::new(&trace)).unwrap()[1];
        let start = at.offset as usize;
        let (header, payload) = (start, start + 40);
        trace[header + 4..header + 6].copy_from_slice(&kind.to_le_bytes());
        let end = payload + at.stored_len as usize;
        let checksum = crc32c::crc32c(&trace[header..header + 36]);
        let checksum = crc32c::crc32c_append(checksum, &trace[payload..end]);
        trace[header + 36..header + 40].copy_from_slice(&checksum.to_le_bytes());
        let mut reader = Reader::new(Cursor::new(trace))?;
        while reader.next_block()?.is_some() {}
        Ok::<_, FormatError>((reader.unknown().to_vec(), reader.damage().to_vec()))
    };
    assert_eq!(check(0x0777).unwrap(), (vec![BlockKind(0x0777)], vec![]));
    let refused = check(0x8777).unwrap_err().to_string();
    assert!(refused.contains("0x8777") && refused.contains("newer rz"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Any sectors behind the header are zeros, or have what belongs to another one, and
    /// the file may be shorter.
    #[test]
    fn a_loss_of_power_changes_no_value(
        length in 64usize..4000,
        fates in proptest::collection::vec((0u8..8, any::<proptest::sample::Index>()), 64),
    ) {
        const SECTOR: usize = 64;
        let whole = common::small_trace();
        let sectors: Vec<&[u8]> = whole[SECTOR..].chunks(SECTOR).collect();
        let mut trace = whole[..SECTOR].to_vec();
        for (sector, (fate, other)) in sectors.iter().zip(fates) {
            match fate {
                0 => trace.extend(vec![0; sector.len()]),
                1 => trace.extend(*other.get(&sectors)),
                _ => trace.extend(*sector),
            }
        }
        trace.truncate(length);
        let (blocks, damage) = read_all(&trace).unwrap();
        let good = good_blocks();
        prop_assert!(blocks.iter().all(|block| good.contains(block)));
        prop_assert!(blocks.len() == good.len() || !damage.is_empty());
    }

    #[test]
    fn noise_never_panics(mut noise: Vec<u8>) {
        noise.splice(0..0, common::small_trace()[..64].iter().copied());
        let _ = read_all(&noise);
    }
}

/// The index says where to go on, so that what is wrong with a block that is not
/// wanted does not matter; without it, such a block is checked as any other.
#[test]
fn blocks_that_are_not_wanted_are_passed_over() {
    let mut trace = common::small_trace();
    let index = rebuild_index(&mut Cursor::new(&trace)).unwrap();
    let samples = index.iter().find(|entry| entry.kind == BlockKind::SAMPLES).unwrap();
    trace[samples.offset as usize + 40] ^= 1;
    let others = |trace: &[u8]| {
        let mut reader = Reader::new(Cursor::new(trace.to_vec())).unwrap();
        let mut blocks = 0;
        while reader.next_block_if(|b| b.kind != BlockKind::SAMPLES).unwrap().is_some() {
            blocks += 1;
        }
        (blocks, reader.unwanted().to_vec(), reader.damage().to_vec(), reader.last_ns())
    };
    let wanted = index.iter().filter(|entry| entry.kind != BlockKind::SAMPLES).count();
    let last_ns = index.iter().map(|entry| entry.last_ns).max().unwrap();
    assert_eq!(others(&trace), (wanted, vec![BlockKind::SAMPLES], vec![], last_ns));

    let without_index = &trace[..trace.len() - 16];
    let (_, _, damage, _) = others(without_index);
    let (offset, length) = (samples.offset, 40 + u64::from(samples.stored_len));
    assert!(damage.contains(&Damage::Skipped { offset, length }), "{damage:?}");

    // An index of another file is no reason to go by it.
    trace[samples.offset as usize + 8] ^= 1;
    let (_, _, damage, _) = others(&trace);
    assert!(damage.contains(&Damage::Skipped { offset, length }), "{damage:?}");
}
