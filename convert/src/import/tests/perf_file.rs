//! Writes small perf.data files.

/// A file that is being written.
pub(super) struct PerfFile {
    is_big_endian: bool,
    records: Vec<u8>,
    features: Vec<(u8, Vec<u8>)>,
}

/// What samples hold, and what other records end in.
const SAMPLE_TYPE: u64 = 1 << 16 | 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 5;
/// Inherited, a frequency, and trailers.
const FLAGS: u64 = 1 << 1 | 1 << 10 | 1 << 18;
const IDS: [u64; 2] = [70, 71];

pub(super) const KERNEL: u64 = -128i64 as u64;
pub(super) const USER: u64 = -512i64 as u64;

/// Record types.
pub(super) const LOST: u32 = 2;
pub(super) const COMM: u32 = 3;
pub(super) const EXIT: u32 = 4;
pub(super) const FORK: u32 = 7;
const SAMPLE: u32 = 9;
const MMAP2: u32 = 10;
const HEADER_ATTR: u32 = 64;
const BUILD_ID: u32 = 67;
const FINISHED_ROUND: u32 = 68;
const HEADER_FEATURE: u32 = 80;

/// Marks a change of the program.
pub(super) const EXEC: u16 = 1 << 13;

impl PerfFile {
    pub(super) fn new(is_big_endian: bool) -> Self {
        PerfFile { is_big_endian, records: Vec::new(), features: Vec::new() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(&self, value: u64) -> [u8; 8] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(&self, words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u64(*word)).collect()
    }

    fn pair(&self, first: u32, second: u32) -> Vec<u8> {
        [self.u32(first), self.u32(second)].concat()
    }

    /// Text with at least one zero behind it, in whole words.
    fn text(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((bytes.len() + 1).next_multiple_of(8), 0);
        bytes
    }

    fn framed(&self, kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let size = (body.len() + 8) as u16;
        let halves = match self.is_big_endian {
            true => [misc.to_be_bytes(), size.to_be_bytes()],
            false => [misc.to_le_bytes(), size.to_le_bytes()],
        };
        [&self.u32(kind)[..], &halves.concat(), body].concat()
    }

    fn add(mut self, kind: u32, misc: u16, body: &[u8]) -> Self {
        let record = self.framed(kind, misc, body);
        self.records.extend_from_slice(&record);
        self
    }

    /// A record that is no sample, with its trailer.
    pub(super) fn event(
        self,
        kind: u32,
        misc: u16,
        (pid, tid, time_ns): (u32, u32, u64),
        body: &[u8],
    ) -> Self {
        let trailer = [self.pair(pid, tid), self.words(&[time_ns, IDS[0]])].concat();
        self.add(kind, misc, &[body, &trailer].concat())
    }

    pub(super) fn comm(self, pid: u32, tid: u32, time_ns: u64, misc: u16, name: &str) -> Self {
        let body = [self.pair(pid, tid), Self::text(name)].concat();
        self.event(COMM, misc, (pid, tid, time_ns), &body)
    }

    /// A fork or an exit.
    pub(super) fn task(
        self,
        kind: u32,
        (pid, parent): (u32, u32),
        (tid, parent_tid): (u32, u32),
        time_ns: u64,
    ) -> Self {
        let body =
            [self.pair(pid, parent), self.pair(tid, parent_tid), self.words(&[time_ns])].concat();
        self.event(kind, 0, (pid, tid, time_ns), &body)
    }

    /// Maps a page of code.
    pub(super) fn map(self, pid: u32, time_ns: u64, start: u64, path: &str) -> Self {
        let body = [
            self.pair(pid, pid),
            self.words(&[start, 0x1000, 0, 0, 0, 0]),
            self.pair(5, 2),
            Self::text(path),
        ]
        .concat();
        self.event(MMAP2, 2, (pid, pid, time_ns), &body)
    }

    pub(super) fn lost(self, time_ns: u64, count: u64) -> Self {
        let body = self.words(&[IDS[0], count]);
        self.event(LOST, 0, (0, 0, time_ns), &body)
    }

    pub(super) fn sample(self, event: usize, task: (u32, u32, u64), chain: &[u64]) -> Self {
        let (pid, tid, time_ns) = task;
        let ip = chain.iter().copied().find(|address| *address < USER - 4096).unwrap_or(0);
        let body = [
            self.words(&[IDS[event], ip]),
            self.pair(pid, tid),
            self.words(&[time_ns, 1000, chain.len() as u64]),
            self.words(chain),
        ]
        .concat();
        self.add(SAMPLE, 2, &body)
    }

    pub(super) fn round(self) -> Self {
        self.add(FINISHED_ROUND, 0, &[])
    }

    pub(super) fn feature_text(mut self, id: u8, text: &str) -> Self {
        let text = Self::text(text);
        let content = [&self.u32(text.len() as u32)[..], &text].concat();
        self.features.push((id, content));
        self
    }

    /// The build-id of a file. Files have it behind the records, pipes in one.
    fn build_id(&self, path: &str) -> Vec<u8> {
        let mut id = vec![0; 24];
        id[..20].fill(0xab);
        [&self.u32(u32::MAX)[..], &id, &Self::text(path)].concat()
    }

    pub(super) fn feature_build_id(mut self, path: &str) -> Self {
        let content = self.framed(BUILD_ID, 2, &self.build_id(path));
        self.features.push((2, content));
        self
    }

    pub(super) fn piped_build_id(self, path: &str) -> Self {
        let body = self.build_id(path);
        self.add(BUILD_ID, 2, &body)
    }

    /// `cpu-clock`, then page faults.
    fn attr(&self, event: usize) -> Vec<u8> {
        let flags = if self.is_big_endian { FLAGS.reverse_bits() } else { FLAGS };
        [
            self.pair(1, 112),
            self.words(&[[0, 2][event], 99, SAMPLE_TYPE, 0, flags, 0, 0, 0, 0, 0, 0, 0, 0]),
        ]
        .concat()
    }

    fn magic(&self) -> &'static [u8; 8] {
        if self.is_big_endian { b"2ELIFREP" } else { b"PERFILE2" }
    }

    /// The file.
    pub(super) fn file(mut self) -> Vec<u8> {
        const HEADER_LEN: u64 = 104;
        self.features.sort();
        let ids: Vec<u8> = self.words(&IDS);
        let attrs_at = HEADER_LEN + ids.len() as u64;
        let attrs: Vec<u8> = (0..2)
            .flat_map(|event| {
                [self.attr(event), self.words(&[HEADER_LEN + event as u64 * 8, 8])].concat()
            })
            .collect();
        let data_at = attrs_at + attrs.len() as u64;
        let mut bits = [0u64; 4];
        for (id, _) in &self.features {
            bits[usize::from(*id) / 64] |= 1 << (id % 64);
        }
        let header = [
            self.magic().to_vec(),
            self.words(&[HEADER_LEN, attrs.len() as u64 / 2, attrs_at, attrs.len() as u64]),
            self.words(&[data_at, self.records.len() as u64, 0, 0]),
            self.words(&bits),
        ]
        .concat();
        let mut content_at = data_at + self.records.len() as u64 + self.features.len() as u64 * 16;
        let mut table = Vec::new();
        for (_, content) in &self.features {
            table.extend(self.words(&[content_at, content.len() as u64]));
            content_at += content.len() as u64;
        }
        let contents: Vec<u8> = self.features.iter().flat_map(|(_, c)| c.clone()).collect();
        [header, ids, attrs, self.records, table, contents].concat()
    }

    /// The same, as it goes through a pipe.
    pub(super) fn pipe(self) -> Vec<u8> {
        let mut out = [self.magic().to_vec(), self.words(&[16])].concat();
        for (event, id) in IDS.iter().enumerate() {
            let body = [self.attr(event), self.words(&[*id])].concat();
            out.extend(self.framed(HEADER_ATTR, 0, &body));
        }
        for (id, content) in self.features.iter().filter(|(id, _)| *id != 2) {
            let body = [self.words(&[u64::from(*id)]), content.clone()].concat();
            out.extend(self.framed(HEADER_FEATURE, 0, &body));
        }
        out.extend(self.records);
        out
    }
}

/// A program that execs, forks and starts a thread, in the kernel and beyond
/// what is mapped; records of two rounds are not in order.
pub(super) fn story(is_big_endian: bool) -> PerfFile {
    const APP: &str = "/no/such/app";
    const KERNEL_CODE: u64 = 0xffff_ffff_8100_0010;
    PerfFile::new(is_big_endian)
        .feature_text(3, "build-7")
        .feature_text(4, "6.1.0")
        .feature_text(6, "x86_64")
        .comm(10, 10, 0, 0, "perf-exec")
        .comm(10, 10, 100, EXEC, "app")
        .map(10, 110, 0x1000, APP)
        .sample(0, (10, 10, 200), &[USER, 0x1010, 0x1021])
        .task(FORK, (10, 10), (11, 10), 300)
        .comm(10, 11, 310, 0, "worker")
        .sample(0, (10, 11, 400), &[KERNEL, KERNEL_CODE, USER, 0x1030, 0x9999])
        .round()
        .sample(0, (20, 20, 700), &[USER, 0x5040])
        .sample(1, (20, 20, 720), &[USER, 0x5050])
        .task(FORK, (20, 10), (20, 10), 500)
        .map(20, 600, 0x5000, "/no/such/lib.so")
        .sample(0, (20, 20, 510), &[USER, 0x1060])
        .lost(750, 5)
        .round()
        .task(EXIT, (20, 20), (20, 20), 800)
}
