//! Translates file offsets to addresses through the program headers.

use object::{Object, ObjectSegment};

/// The parts of a file that are loaded into memory, executable ones first.
pub(super) struct Segments {
    segments: Vec<Segment>,
}

struct Segment {
    offset: u64,
    file_size: u64,
    address: u64,
    executable: bool,
}

impl Segments {
    /// Reads the `PT_LOAD` program headers.
    pub(super) fn new(file: &object::File) -> Self {
        let mut segments: Vec<Segment> = file
            .segments()
            .map(|segment| {
                let (offset, file_size) = segment.file_range();
                let executable = segment.permissions().executable();
                Segment { offset, file_size, address: segment.address(), executable }
            })
            .collect();
        // Bytes at the edge of a segment can also lie in its neighbour's page;
        // as code they belong to the executable one.
        segments.sort_by_key(|segment| !segment.executable);
        Segments { segments }
    }

    /// The program headers as a trace has them.
    pub(super) fn recorded(segments: &[rz_format::Segment]) -> Self {
        let segments = segments.iter().map(|segment| Segment {
            offset: segment.file_offset,
            file_size: segment.length,
            address: segment.svma,
            executable: true,
        });
        Segments { segments: segments.collect() }
    }

    /// Whether any code is in the file. `objcopy --only-keep-debug` sets the
    /// file size of segments to zero, which makes offsets meaningless.
    pub(super) fn have_code(&self) -> bool {
        self.segments.iter().any(|segment| segment.executable && segment.file_size > 0)
    }

    /// Where code begins; 0 if nothing is known of code.
    pub(super) fn lowest_code(&self) -> u64 {
        let code = self.segments.iter().filter(|segment| segment.executable);
        code.map(|segment| segment.address).min().unwrap_or(0)
    }

    /// Address (SVMA) of the byte at a file offset, if it is loaded.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        let within = |segment: &Segment| {
            let distance = offset.checked_sub(segment.offset)?;
            (distance < segment.file_size).then_some(segment.address.checked_add(distance)?)
        };
        self.segments.iter().find_map(within)
    }

    /// Offset in the file of the byte at an address (SVMA), if it is loaded
    /// from there.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        let within = |segment: &Segment| {
            let distance = address.checked_sub(segment.address)?;
            (distance < segment.file_size).then_some(segment.offset.checked_add(distance)?)
        };
        self.segments.iter().find_map(within)
    }
}
