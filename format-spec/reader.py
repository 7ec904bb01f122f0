#!/usr/bin/env python3
"""Prints rz traces as JSON, a document a line.

    format-spec/reader.py trace.rz | jq .blocks[].kind

Written from SPEC.md alone, to show that it is enough, and as a start for tools in
other languages. The sections in comments are those of SPEC.md. Needs Python 3.9, and
below 3.14 the package `zstandard`.
"""

import json
import struct
import sys
from itertools import islice

try:
    from compression import zstd

    def decompress_zstd(data, length):
        decompressor = zstd.ZstdDecompressor()
        raw = decompressor.decompress(data, length + 1)
        if not decompressor.eof or decompressor.unused_data:
            raise Invalid("the payload is not one zstd frame")
        return raw

    ZstdError = zstd.ZstdError
except ImportError:
    import zstandard

    def decompress_zstd(data, length):
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        raw = b""
        # Small parts, so that no frame can make more than one of them too much.
        for at in range(0, len(data), 256):
            raw += decompressor.decompress(data[at : at + 256])
            if len(raw) > length:
                raise Invalid("the payload is longer than its block says")
            if decompressor.eof:
                if decompressor.unused_data or at + 256 < len(data):
                    raise Invalid("the payload is not one zstd frame")
                return raw
        raise Invalid("the payload is not one zstd frame")

    ZstdError = zstandard.ZstdError

U32 = 2**32 - 1
U64 = 2**64 - 1
MINOR = 7
# Rows of a block that are printed; what is beyond is decoded and counted.
MAX_PRINTED = 1000


class Invalid(Exception):
    """Bytes that SPEC.md does not allow."""


# Conventions


def make_crc_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data):
    crc = U32
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ U32


class Input:
    """Bytes that are taken off the front."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, length):
        if length > self.left():
            raise Invalid("ends inside a value")
        self.at += length
        return self.data[self.at - length : self.at]

    def byte(self):
        return self.take(1)[0]

    def integer(self, length):
        return int.from_bytes(self.take(length), "little")

    def varint(self, limit=U64):
        value = 0
        for at in range(10):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * at
            if byte < 0x80:
                if value > limit:
                    raise Invalid(f"{value} is above {limit}")
                return value
        raise Invalid("a varint of more than 10 bytes")


def unzigzag(value):
    """A signed number."""
    return value >> 1 if value & 1 == 0 else -(value >> 1) - 1


# Section 4: tables


class Table:
    def __init__(self, data, max_rows=2**20):
        self.rows = data.varint(max_rows)
        self.columns = {}
        for _ in range(data.varint(255)):
            number, encoding = data.byte(), data.byte()
            values = data.take(data.varint())
            # Of two with the same id, the first holds.
            self.columns.setdefault(number, (encoding, values))

    def column(self, number, absent=0):
        if number not in self.columns:
            return [absent] * self.rows
        encoding, values = self.columns[number]
        data, column = Input(values), []
        if encoding == 3:
            while len(column) < self.rows:
                value = data.varint()
                column += [value] * data.varint(self.rows - len(column))
        elif encoding <= 2:
            if self.rows > len(values):
                raise Invalid("a column has fewer values than rows")
            value = step = 0
            for _ in range(self.rows):
                if encoding == 0:
                    value = data.varint()
                elif encoding == 1:
                    value = value + unzigzag(data.varint()) & U64
                else:
                    step = step + unzigzag(data.varint()) & U64
                    value = value + step & U64
                column.append(value)
        else:
            raise Invalid(f"column encoding {encoding}")
        if data.left():
            raise Invalid("bytes after a column's last value")
        return column

    def ids(self, number, absent=0):
        """A column of ids and other numbers of 32 bits."""
        column = self.column(number, absent)
        if max(column, default=0) > U32:
            raise Invalid("an id of more than 32 bits")
        return column

    def optional_ids(self, number):
        """Of ids + 1, where 0 is none."""
        column = self.column(number)
        if max(column, default=0) > U32 + 1:
            raise Invalid("an id of more than 32 bits")
        return [value - 1 if value else None for value in column]

    def codes(self, number, known):
        """Of numbers with a meaning each; others are unknown."""
        return [value if value < known else None for value in self.column(number, U64)]

    def histogram(self):
        columns = [self.column(number) for number in range(16, 56)]
        return [list(row) for row in zip(*columns)]


def rows(**columns):
    """The first rows, and how many there are."""
    count = len(next(iter(columns.values())))
    first = islice(zip(*columns.values()), MAX_PRINTED)
    return {"rows": [dict(zip(columns, row)) for row in first]}, count


def seen(column):
    return [[bool(bits & 1), bool(bits & 2)] for bits in column]


# Section 5: records. Fields are read in order: a reader function for each.


def unsigned(bits):
    def read(data):
        first = data.byte()
        if first < 251:
            return first
        length = {251: 2, 252: 4, 253: 8}.get(first)
        if length is None or length * 8 > bits:
            raise Invalid("an integer that is too wide")
        return data.integer(length)

    return read


u8 = Input.byte
u32 = unsigned(32)
u64 = unsigned(64)


def boolean(data):
    byte = data.byte()
    if byte > 1:
        raise Invalid("a boolean above 1")
    return byte == 1


def raw_bytes(data):
    return data.take(u64(data))


def text(data):
    try:
        return raw_bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("text that is no UTF-8") from error


def list_of(element):
    def read(data):
        length = u64(data)
        # Each takes a byte at least.
        if length > data.left():
            raise Invalid("a list ends too early")
        return [element(data) for _ in range(length)]

    return read


def struct_of(**fields):
    return lambda data: {name: read(data) for name, read in fields.items()}


def line_table(data):
    lines, table = [], Input(raw_bytes(data)[: 2**19])
    position = line = 0
    try:
        while table.left():
            position += table.varint()
            line += unzigzag(table.varint())
            column = table.varint(U32)
            if position > U32 or not 0 <= line <= U32:
                break
            lines.append([position, line, column])
    except Invalid:
        pass
    return lines


segment = struct_of(file_offset=u64, length=u64, address=u64)
place = struct_of(offset=u32, file=text, line=u32, column=u32)
limit = struct_of(name=text, soft=u64, hard=u64, unit=text)
exits = dict(id=u32, time_ns=u64)

RECORDS = {
    1: ("host", dict(hostname=text, sysname=text, release=text, version=text, machine=text,
                     cpus=u32, page_size=u32, boot_id=text)),
    2: ("recording", dict(recorder=text, command=list_of(text), tier=text, targets=list_of(u32),
                          follow=boolean, kernel=boolean, uid=u32, stack_bytes=u32,
                          start_ns=u64)),
    3: ("event", dict(id=u32, name=text, unit=u8, frequency_hz=u32)),
    4: ("clock", dict(monotonic_ns=u64, realtime_ns=u64, boottime_ns=u64)),
    5: ("process", dict(id=u32, pid=u32, parent_pid=u32, start_ns=u64, exe=text, argv0=text,
                        name=text)),
    6: ("process exit", exits),
    7: ("thread", dict(id=u32, process=u32, tid=u32, start_ns=u64, name=text)),
    8: ("thread name", dict(thread=u32, time_ns=u64, name=text)),
    9: ("thread exit", exits),
    10: ("module", dict(id=u32, kind=u8, path=text, build_id=list_of(u8), file_size=u64,
                        process_plus_one=u32, segments=list_of(segment))),
    11: ("mapping", dict(process=u32, module=u32, start=u64, length=u64, file_offset=u64,
                         time_ns=u64)),
    12: ("symbol", dict(module=u32, start=u64, length=u64, name=text, area=text)),
    13: ("loss", {"cpu": u32, "class": u8, "reason": u8, "from_ns": u64, "to_ns": u64,
                  "count": u64}),
    14: ("cost", dict(time_ns=u64, user_ns=u64, system_ns=u64, peak_rss=u64, queued=u64,
                      written=u64)),
    15: ("end", dict(time_ns=u64, reason=u8)),
    16: ("note", dict(text=text)),
    17: ("captured", dict(system_wide=boolean, waits=boolean, stack_threshold_ns=u64, calls=u8,
                          call_numbers=list_of(u32), slower_than_ns=u64)),
    18: ("open file", dict(process=u32, fd=u32, time_ns=u64, target=text, close_on_exec=u8)),
    19: ("working directory", dict(process=u32, path=text)),
    20: ("allocations", dict(source=u8, interval=u64)),
    21: ("allocator", dict(process=u32, path=text)),
    22: ("source", dict(id=u32, label=text, trace_id=list_of(u8), created_unix_ns=u64,
                        created_ns=u64, shift=u64)),
    23: ("of source", dict(id=u32)),
    24: ("generated code", dict(module=u32, start=u64, length=u64, from_ns=u64, name=text,
                                lines=list_of(place))),
    25: ("process facts", dict(process=u32, uid=u32, gid=u32, cgroup=text, args=list_of(text),
                               environment=list_of(text), values=list_of(text),
                               limits=list_of(limit))),
    26: ("named", dict(module=u32, note=text)),
    27: ("redaction", dict(what=text, how=text, count=u64)),
    28: ("code object", dict(id=u32, process_plus_one=u32, runtime=u8, kind=u8, name=text,
                             qualified_name=text, file=text, first_line=u32, first_column=u32,
                             positions=u8, lines=line_table)),
    29: ("CPU times", dict(from_ns=u64, to_ns=u64, complete=boolean)),
    30: ("call data", dict(bytes=u32)),
    31: ("last ran", dict(thread=u32, time_ns=u64)),
    32: ("function", dict(number=u32, path=text, address=u64, name=text, arguments=list_of(u8),
                          result=u8)),
}
CODE_OBJECT = 28


def read_records(data):
    records = []
    while data.left():
        if len(records) >= 2**18:
            raise Invalid("too many records")
        tag = data.byte()
        body = Input(data.take(data.varint()))
        if tag not in RECORDS:
            continue
        name, fields = RECORDS[tag]
        try:
            if len(body.data) > 2**20:
                raise Invalid("a record of more than 1 MiB")
            records.append({"record": name, **struct_of(**fields)(body)})
        except Invalid:
            if tag != CODE_OBJECT:
                raise
    return {"rows": records}, len(records)


# Section 6: stacks


def read_stacks(data):
    first_frame, first_stack = data.varint(U32), data.varint(U32)
    table = Table(data)
    if first_frame + table.rows > U32:
        raise Invalid("a frame id of more than 32 bits")
    columns = [table.column(0, U64)] + [table.column(number) for number in (1, 2, 3)]
    frames = [read_frame(*row) for row in zip(*columns)]
    table = Table(data)
    if first_stack + table.rows > U32:
        raise Invalid("a stack id of more than 32 bits")
    stacks = []
    for number, (distance, frame) in enumerate(zip(table.column(0), table.ids(1))):
        if distance > first_stack + number:
            raise Invalid("the caller of a stack is before the first one")
        parent = first_stack + number - distance if distance else None
        stacks.append({"parent": parent, "frame": frame})
    content = {"first_frame": first_frame, "frames": frames, "first_stack": first_stack}
    return {**content, "stacks": stacks}, len(frames) + len(stacks)


def read_frame(kind, owner, place, how):
    if kind == 0 and owner <= U32:
        return {"kind": "code", "module": owner, "offset": place}
    if kind == 1:
        return {"kind": "truncated", "reason": place if place <= 6 else None}
    if kind == 2 and owner <= U32:
        tier = how & 0xF
        return {"kind": "runtime", "code": owner, "position": place,
                "tier": tier if 1 <= tier <= 3 else 0,
                "inlined": bool(how & 0x10), "approximate": bool(how & 0x20)}
    return {"kind": "unknown"}


# Sections 7 to 13 and 16: rows of events, definitions of texts, names


def read_samples(data):
    t = Table(data)
    return rows(time_ns=t.column(0), event=t.ids(1), thread=t.ids(2), cpu=t.ids(3),
                stack=t.optional_ids(4), weight=t.column(5, 1))


def read_waits(data):
    t = Table(data)
    durations = t.column(3)
    weights = [base + more & U64 for base, more in zip(durations, t.column(8))]
    return rows(end_ns=t.column(0), thread=t.ids(1), cpu=t.ids(2), duration_ns=durations,
                queued_ns=t.column(4), state=t.codes(5, 8), syscall=t.optional_ids(6),
                stack=t.optional_ids(7), weight=weights, seen=seen(t.column(9)))


def read_calls(data):
    t = Table(data, 2**17)
    return rows(start_ns=t.column(0), thread=t.ids(1), number=t.ids(2), duration_ns=t.column(3),
                result=[unzigzag(value) for value in t.column(4)],
                texts=[list(row) for row in zip(t.optional_ids(5), t.optional_ids(6))],
                stack=t.optional_ids(7), stack_weight=t.column(8), count=t.column(9, 1),
                seen=seen(t.column(10)), data=t.optional_ids(11),
                args=[list(row) for row in zip(*(t.column(16 + at) for at in range(6)))])


def read_texts(data):
    first, table = data.varint(U32), Table(data)
    if first + table.rows > U32:
        raise Invalid("a text id of more than 32 bits")
    texts = [data.take(length).hex() for length in table.column(0)]
    return {"first": first, "texts": texts}, len(texts)


def read_totals(data):
    t = Table(data, 2**15)
    return rows(**{"class": t.codes(0, 4)}, thread=t.optional_ids(1), state=t.codes(2, 8),
                number=t.optional_ids(3), count=t.column(4), errors=t.column(5),
                total_ns=t.column(6), min_ns=t.column(7), max_ns=t.column(8),
                queued_ns=t.column(9), histogram=t.histogram())


def read_allocations(data):
    t = Table(data)
    times = [min(time * 1000, U64) for time in t.column(0)]
    kinds, sizes = t.codes(2, 6), t.column(4)
    addresses = resolve_addresses(kinds, sizes, t.column(3), t.column(8))
    return rows(time_ns=times, thread=t.ids(1), kind=kinds, address=addresses, size=sizes,
                stack=t.optional_ids(5), allocations=t.column(6), interval=t.column(7))


def resolve_addresses(kinds, sizes, distances, references):
    addresses, expected = [], 0
    allocated, freed = [], {}
    for kind, size, distance, reference in zip(kinds, sizes, distances, references):
        units = (min(size + 8, U64) + 15) // 16
        frees = kind in (0, 1)
        if reference == 0:
            address = expected + unzigzag(distance) & U64
            expected = address if frees else address + 16 * max(2, units) & U64
        elif frees:
            if reference > len(allocated):
                raise Invalid("a reference to nowhere")
            address, of_size = allocated[-reference]
            freed.setdefault(of_size, []).append(address)
        else:
            objects = freed.get(units, [])
            if reference > min(len(objects), 64):
                raise Invalid("a reference to nowhere")
            address = objects.pop(-reference)
        if not frees:
            allocated.append((address, units))
        addresses.append(address)
    return addresses


def read_heap_counts(data):
    t = Table(data, 2**15)
    return rows(time_ns=t.column(0), thread=t.optional_ids(1), allocations=t.column(2),
                bytes=t.column(3), frees=t.column(4), failed=t.column(5), mmaps=t.column(6),
                mapped=t.column(7), munmaps=t.column(8), unmapped=t.column(9),
                break_up=t.column(10), break_down=t.column(11), sizes=t.histogram())


def read_names(data):
    t = Table(data, 2**17)
    offsets = t.column(1)
    addresses = [base + more & U64 for base, more in zip(offsets, t.column(3))]
    return rows(module=t.ids(0), offset=offsets, from_ns=t.column(2), address=addresses,
                into=t.column(4), name=t.optional_ids(5), system_name=t.optional_ids(6),
                file=t.optional_ids(7), line=t.ids(8), column=t.ids(9),
                inlined=[value != 0 for value in t.column(10)])


def read_cpu_times(data):
    t = Table(data, 2**15)
    return rows(time_ns=t.column(0), thread=t.optional_ids(1), ran_ns=t.column(2),
                ready_ns=t.column(3), runs=t.column(4))


# Section 3: blocks

RECORDS_KIND, INDEX_KIND = 0x8001, 0x0004
KINDS = {
    RECORDS_KIND: ("records", read_records),
    0x8002: ("stacks", read_stacks),
    0x8003: ("samples", read_samples),
    INDEX_KIND: ("index", None),
    0x0005: ("waits", read_waits),
    0x0006: ("calls", read_calls),
    0x0007: ("texts", read_texts),
    0x0008: ("totals", read_totals),
    0x0009: ("allocations", read_allocations),
    0x000A: ("heap counts", read_heap_counts),
    0x000B: ("names", read_names),
    0x000C: ("CPU times", read_cpu_times),
    0x000D: ("call data", read_texts),
    0x000E: ("calls of functions", read_calls),
}
DEFINITIONS = ("records", "stacks", "texts", "names", "call data")
WIDE = ("totals", "heap counts")
SYNC = b"\xf5RZB"
HEADER = struct.Struct("<4sHBBIIIQQI")
MAX_PAYLOAD = 16 << 20


class Block:
    """A block that is whole: its checksum is right."""

    def __init__(self, data, offset):
        head = data[offset : offset + HEADER.size]
        if len(head) < HEADER.size:
            raise Invalid("ends inside a block header")
        (sync, self.kind, self.codec, _, self.sequence, self.stored, self.raw, self.first_ns,
         self.last_ns, checksum) = HEADER.unpack(head)
        if sync != SYNC or self.codec > 1 or max(self.stored, self.raw) > MAX_PAYLOAD:
            raise Invalid("no block header")
        self.offset, self.end = offset, offset + HEADER.size + self.stored
        self.payload = data[offset + HEADER.size : self.end]
        if len(self.payload) < self.stored:
            raise Invalid("ends inside a block")
        if crc32c(head[:36] + self.payload) != checksum:
            raise Invalid("a wrong checksum")
        self.name = KINDS[self.kind][0] if self.kind in KINDS else None

    def decompressed(self):
        payload = self.payload
        if self.codec == 1:
            try:
                payload = decompress_zstd(payload, self.raw)
            except ZstdError as error:
                raise Invalid(str(error)) from error
        if len(payload) != self.raw:
            raise Invalid("the payload is not as long as the block says")
        return Input(payload)


class Expansion:
    """What blocks stand for (section 3, Limits)."""

    def __init__(self):
        self.events = self.definitions = self.definition_bytes = 0

    def add(self, name, rows, length):
        if name in DEFINITIONS:
            self.definitions += rows
            self.definition_bytes += length
        else:
            self.events += rows * (64 if name in WIDE else 1)

    def fits(self, end):
        return (self.events <= 2**24 + 32 * end and self.definitions <= 2**20 + 2 * end
                and self.definition_bytes <= 2**25 + 16 * end)


# Sections 1, 2 and 14: files


def read_header(data):
    magic = b"\x89RZ1\r\n\x1a\n"
    if len(data) < 64 or data[:8] != magic:
        raise Invalid("no rz trace")
    major, minor, smallest = struct.unpack("<HHH", data[8:14])
    if major != 1 or smallest > MINOR:
        raise Invalid("a newer format")
    if crc32c(data[:60]) != int.from_bytes(data[60:64], "little"):
        raise Invalid("the file header is damaged")
    created_unix_ns, created_ns = struct.unpack("<QQ", data[32:48])
    return {"major": major, "minor": minor, "smallest_reader": smallest,
            "trace_id": data[16:32].hex(), "created_unix_ns": created_unix_ns,
            "created_ns": created_ns}


def find_block(data, offset):
    """The block at an offset, or the next one behind it."""
    while True:
        try:
            return Block(data, offset)
        except Invalid:
            offset = data.find(SYNC, offset + 1)
            if offset < 0:
                return None


def cut_rows(content):
    """Only the first rows of a block."""
    return {name: value[:MAX_PRINTED] if isinstance(value, list) else value
            for name, value in content.items()}


def read_trace(data):
    trace = {"header": read_header(data), "blocks": [], "damage": [], "unknown": []}
    damage = trace["damage"]
    offset, sequence, expansion = 64, 0, Expansion()
    while True:
        if offset >= len(data):
            damage.append({"damage": "not closed"})
            break
        if len(data) - offset == 16 and data[-8:] == b"RZ1end\r\n":
            break
        block = find_block(data, offset)
        if block is None:
            damage.append({"damage": "cut off", "offset": offset, "length": len(data) - offset})
            break
        if block.offset != offset:
            length = block.offset - offset
            damage.append({"damage": "skipped", "offset": offset, "length": length})
        missing = block.sequence - sequence & U32
        if missing:
            damage.append({"damage": "missing blocks", "offset": block.offset, "count": missing})
        offset, sequence = block.end, block.sequence + 1 & U32
        if block.name is None:
            if block.kind & 0x8000:
                raise Invalid(f"block kind {block.kind:#06x} must be understood")
            if block.kind not in trace["unknown"]:
                trace["unknown"].append(block.kind)
            continue
        if block.kind == INDEX_KIND:
            continue
        too_much = {"damage": "too much", "offset": block.offset, "kind": block.name}
        expansion.add(block.name, 0, block.raw)
        if not expansion.fits(block.end):
            damage.append(too_much)
            break
        try:
            content, count = KINDS[block.kind][1](block.decompressed())
        except Invalid:
            damage.append({"damage": "bad block", "offset": block.offset, "kind": block.name})
            continue
        expansion.add(block.name, count, 0)
        if not expansion.fits(block.end):
            damage.append(too_much)
            break
        trace["blocks"].append({"kind": block.name, "offset": block.offset,
                                "first_ns": block.first_ns, "last_ns": block.last_ns,
                                "count": count, **cut_rows(content)})
    trace["index"] = read_index(data)
    return trace


def read_index(data):
    """The index that the writer left; none where it is not whole."""
    if data[-8:] != b"RZ1end\r\n":
        return None
    try:
        index = Block(data, int.from_bytes(data[-16:-8], "little"))
        if index.kind != INDEX_KIND:
            return None
        t = Table(index.decompressed())
        content, _ = rows(offset=t.column(0), kind=t.column(1), stored_len=t.column(2),
                          first_ns=t.column(3), last_ns=t.column(4))
        return content["rows"]
    except Invalid:
        return None


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            data = file.read()
        try:
            trace = read_trace(data)
        except Invalid as error:
            trace = {"refused": str(error)}
        print(json.dumps(trace, ensure_ascii=False))


if __name__ == "__main__":
    main()
