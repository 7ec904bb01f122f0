//! What rz reads of a trace, as the JSON that `format-spec/reader.py` prints.
//!
//! Every field is named, so that one that is new fails to compile.

use std::io::Cursor;

use rz_format::*;
use serde_json::{Value, json};

/// Rows of a block that are printed.
const MAX_PRINTED: usize = 1000;

/// Gives a struct's fields their names in JSON, the same if no other is given.
macro_rules! fields {
    ($value:expr, $kind:ident { $($field:ident $(as $name:literal)?),* $(,)? }) => {{
        let $kind { $($field),* } = $value;
        json!({ $(fields!(@ $field $($name)?): $field),* })
    }};
    (@ $field:ident) => { stringify!($field) };
    (@ $field:ident $name:literal) => { $name };
}

/// The whole trace, or why it is refused.
pub fn dump(bytes: &[u8]) -> Value {
    read(bytes).unwrap_or_else(|error| json!({ "refused": error.to_string() }))
}

fn read(bytes: &[u8]) -> Result<Value, FormatError> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    let header = *reader.header();
    let mut blocks = Vec::new();
    while let Some(stored) = reader.next_stored_if(|_| true)? {
        match stored.decode() {
            Ok(block) if reader.admit(&stored, block.rows()) => {
                let mut value = content(&block);
                let BlockHeader { first_ns, last_ns, .. } = stored.header();
                value["kind"] = json!(stored.kind().to_string());
                value["offset"] = json!(stored.offset());
                value["first_ns"] = json!(first_ns);
                value["last_ns"] = json!(last_ns);
                value["count"] = json!(block.rows());
                blocks.push(value);
            }
            Ok(_) => break,
            Err(damage) => reader.add_damage(damage),
        }
    }
    let unknown: Vec<u16> = reader.unknown().iter().map(|kind| kind.0).collect();
    Ok(json!({
        "header": {
            "major": MAJOR,
            "minor": header.minor,
            "smallest_reader": header.min_reader,
            "trace_id": hex(&header.trace_id),
            "created_unix_ns": header.created_unix_ns,
            "created_ns": header.created_ns,
        },
        "blocks": blocks,
        "damage": reader.damage().iter().map(damage).collect::<Vec<_>>(),
        "unknown": unknown,
        "index": if reader.damage().is_empty() { index(bytes)? } else { Value::Null },
    }))
}

fn damage(damage: &Damage) -> Value {
    match damage {
        Damage::TooMuch { offset, kind } => {
            json!({ "damage": "too much", "offset": offset, "kind": kind.to_string() })
        }
        Damage::CutOff { offset, length } => {
            json!({ "damage": "cut off", "offset": offset, "length": length })
        }
        Damage::NotClosed => json!({ "damage": "not closed" }),
        Damage::Skipped { offset, length } => {
            json!({ "damage": "skipped", "offset": offset, "length": length })
        }
        Damage::MissingBlocks { offset, count } => {
            json!({ "damage": "missing blocks", "offset": offset, "count": count })
        }
        Damage::BadBlock { offset, kind, cause: _ } => {
            json!({ "damage": "bad block", "offset": offset, "kind": kind.to_string() })
        }
    }
}

/// Where the blocks are, of a trace that is whole.
fn index(bytes: &[u8]) -> Result<Value, FormatError> {
    let value = |entry: &IndexEntry| {
        let IndexEntry { offset, kind, stored_len, first_ns, last_ns } = entry;
        json!({ "offset": offset, "kind": kind.0, "stored_len": stored_len,
                "first_ns": first_ns, "last_ns": last_ns })
    };
    Ok(read_index(&mut Cursor::new(bytes))?.iter().map(value).collect())
}

fn content(block: &Block) -> Value {
    fn rows<T>(rows: &[T], value: impl Fn(&T) -> Value) -> Value {
        json!({ "rows": rows.iter().take(MAX_PRINTED).map(value).collect::<Vec<_>>() })
    }
    match block {
        Block::Records(records) => rows(records, record),
        Block::Stacks(StackDefs { first_frame, frames, first_stack, stacks }) => json!({
            "first_frame": first_frame,
            "frames": frames.iter().map(frame).collect::<Vec<_>>(),
            "first_stack": first_stack,
            "stacks": stacks.iter().map(|s| fields!(*s, StackNode { parent, frame })).collect::<Vec<_>>(),
        }),
        Block::Texts(TextDefs { first, texts }) | Block::CallData(TextDefs { first, texts }) => {
            json!({ "first": first, "texts": texts.iter().map(|t| hex(t)).collect::<Vec<_>>() })
        }
        Block::Samples(all) => {
            rows(all, |row| fields!(*row, Sample { time_ns, event, thread, cpu, stack, weight }))
        }
        Block::Waits(all) => rows(all, |row| {
            let Wait { state, seen, .. } = *row;
            let (state, seen) = (code(state.into()), seen_of(seen));
            let Wait {
                end_ns,
                thread,
                cpu,
                duration_ns,
                queued_ns,
                state: _,
                syscall,
                stack,
                weight,
                seen: _,
            } = *row;
            json!({ "end_ns": end_ns, "thread": thread, "cpu": cpu, "duration_ns": duration_ns,
                    "queued_ns": queued_ns, "state": state, "syscall": syscall, "stack": stack,
                    "weight": weight, "seen": seen })
        }),
        Block::Calls(all) | Block::FunctionCalls(all) => rows(all, |row| {
            let Call {
                start_ns,
                thread,
                number,
                duration_ns,
                result,
                args,
                texts,
                data,
                stack,
                stack_weight,
                count,
                seen,
            } = *row;
            json!({ "start_ns": start_ns, "thread": thread, "number": number,
                    "duration_ns": duration_ns, "result": result, "args": args, "texts": texts,
                    "data": data, "stack": stack, "stack_weight": stack_weight, "count": count,
                    "seen": seen_of(seen) })
        }),
        Block::Totals(all) => rows(all, |row| {
            let Total {
                class,
                thread,
                state,
                number,
                count,
                errors,
                total_ns,
                min_ns,
                max_ns,
                queued_ns,
                histogram,
            } = row.clone();
            json!({ "class": code(class.into()), "thread": thread, "state": code(state.into()),
                    "number": number, "count": count, "errors": errors, "total_ns": total_ns,
                    "min_ns": min_ns, "max_ns": max_ns, "queued_ns": queued_ns,
                    "histogram": histogram.0.to_vec() })
        }),
        Block::Allocations(all) => rows(all, |row| {
            let Allocation { time_ns, thread, kind, address, size, stack, allocations, interval } =
                *row;
            json!({ "time_ns": time_ns, "thread": thread, "kind": code(kind.into()),
                    "address": address, "size": size, "stack": stack,
                    "allocations": allocations, "interval": interval })
        }),
        Block::HeapCounts(all) => rows(all, |row| {
            let HeapCounts {
                time_ns,
                thread,
                allocations,
                bytes,
                frees,
                failed,
                mmaps,
                mapped,
                munmaps,
                unmapped,
                break_up,
                break_down,
                sizes,
            } = *row;
            json!({ "time_ns": time_ns, "thread": thread, "allocations": allocations,
                    "bytes": bytes, "frees": frees, "failed": failed, "mmaps": mmaps,
                    "mapped": mapped, "munmaps": munmaps, "unmapped": unmapped,
                    "break_up": break_up, "break_down": break_down, "sizes": sizes.0.to_vec() })
        }),
        Block::CpuTimes(all) => {
            rows(all, |row| fields!(*row, CpuTime { time_ns, thread, ran_ns, ready_ns, runs }))
        }
        Block::Names(all) => rows(all, |row| {
            fields!(
                *row,
                Name {
                    module,
                    offset,
                    from_ns,
                    address,
                    into,
                    name,
                    system_name,
                    file,
                    line,
                    column,
                    inlined
                }
            )
        }),
    }
}

/// A code that is one byte, where 255 stands for those that are not known.
fn code(code: u8) -> Option<u8> {
    (code != u8::MAX).then_some(code)
}

fn seen_of(Seen { late, unfinished }: Seen) -> [bool; 2] {
    [late, unfinished]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frame(frame: &Frame) -> Value {
    match *frame {
        Frame::Code { module, offset } => {
            json!({ "kind": "code", "module": module, "offset": offset })
        }
        Frame::Truncated(reason) => {
            let reason: u64 = reason.into();
            json!({ "kind": "truncated", "reason": (reason != u64::MAX).then_some(reason) })
        }
        Frame::Runtime { code, position, how } => {
            let Execution { tier, inlined, approximate } = how;
            let tier: u64 = Execution { tier, ..Execution::default() }.into();
            json!({ "kind": "runtime", "code": code, "position": position, "tier": tier,
                    "inlined": inlined, "approximate": approximate })
        }
        Frame::Unknown => json!({ "kind": "unknown" }),
    }
}

fn record(record: &Record) -> Value {
    let (name, mut value) = match record {
        Record::Host(r) => (
            "host",
            fields!(
                r,
                Host { hostname, sysname, release, version, machine, cpus, page_size, boot_id }
            ),
        ),
        Record::Recording(r) => (
            "recording",
            fields!(
                r,
                Recording {
                    recorder,
                    command,
                    tier,
                    targets,
                    follow,
                    kernel,
                    uid,
                    stack_bytes,
                    start_ns
                }
            ),
        ),
        Record::Event(r) => ("event", fields!(r, Event { id, name, unit, frequency_hz })),
        Record::Clock(r) => ("clock", fields!(r, Clock { monotonic_ns, realtime_ns, boottime_ns })),
        Record::Process(r) => {
            ("process", fields!(r, Process { id, pid, parent_pid, start_ns, exe, argv0, name }))
        }
        Record::ProcessExit(r) => ("process exit", fields!(r, Exit { id, time_ns })),
        Record::Thread(r) => ("thread", fields!(r, Thread { id, process, tid, start_ns, name })),
        Record::ThreadName(r) => ("thread name", fields!(r, ThreadName { thread, time_ns, name })),
        Record::ThreadExit(r) => ("thread exit", fields!(r, Exit { id, time_ns })),
        Record::Module(r) => {
            let segment =
                |s: &Segment| fields!(*s, Segment { file_offset, length, svma as "address" });
            let segments: Vec<Value> = r.segments.iter().map(segment).collect();
            let Module { id, kind, path, build_id, file_size, process_plus_one, segments: _ } = r;
            (
                "module",
                json!({ "id": id, "kind": kind, "path": path, "build_id": build_id,
                               "file_size": file_size, "process_plus_one": process_plus_one,
                               "segments": segments }),
            )
        }
        Record::Mapping(r) => (
            "mapping",
            fields!(r, Mapping { process, module, start, length, file_offset, time_ns }),
        ),
        Record::Symbol(r) => ("symbol", fields!(r, Symbol { module, start, length, name, area })),
        Record::Loss(r) => ("loss", fields!(r, Loss { cpu, class, reason, from_ns, to_ns, count })),
        Record::CallData(r) => ("call data", fields!(r, CallData { bytes })),
        Record::Function(r) => {
            ("function", fields!(r, Function { number, path, address, name, arguments, result }))
        }
        Record::LastRan(r) => ("last ran", fields!(r, LastRan { thread, time_ns })),
        Record::CpuTimes(r) => ("CPU times", fields!(r, CpuTimes { from_ns, to_ns, complete })),
        Record::Cost(r) => {
            ("cost", fields!(r, Cost { time_ns, user_ns, system_ns, peak_rss, queued, written }))
        }
        Record::End(r) => ("end", fields!(r, End { time_ns, reason })),
        Record::Note(r) => ("note", fields!(r, Note { text })),
        Record::Captured(r) => (
            "captured",
            fields!(
                r,
                Captured {
                    system_wide,
                    waits,
                    stack_threshold_ns,
                    calls,
                    call_numbers,
                    slower_than_ns
                }
            ),
        ),
        Record::OpenFile(r) => {
            ("open file", fields!(r, OpenFile { process, fd, time_ns, target, close_on_exec }))
        }
        Record::WorkingDirectory(r) => {
            ("working directory", fields!(r, WorkingDirectory { process, path }))
        }
        Record::Allocations(r) => ("allocations", fields!(r, Allocations { source, interval })),
        Record::Allocator(r) => ("allocator", fields!(r, Allocator { process, path })),
        Record::Source(r) => (
            "source",
            fields!(r, Source { id, label, trace_id, created_unix_ns, created_ns, shift }),
        ),
        Record::OfSource(r) => ("of source", fields!(r, OfSource { id })),
        Record::Generated(r) => {
            let place =
                |l: &GeneratedLine| fields!(l, GeneratedLine { offset, file, line, column });
            let lines: Vec<Value> = r.lines.iter().map(place).collect();
            let Generated { module, start, length, from_ns, name, lines: _ } = r;
            (
                "generated code",
                json!({ "module": module, "start": start, "length": length,
                                       "from_ns": from_ns, "name": name, "lines": lines }),
            )
        }
        Record::ProcessFacts(r) => {
            let limit = |l: &Limit| fields!(l, Limit { name, soft, hard, unit });
            let limits: Vec<Value> = r.limits.iter().map(limit).collect();
            let ProcessFacts { process, uid, gid, cgroup, args, environment, values, limits: _ } =
                r;
            (
                "process facts",
                json!({ "process": process, "uid": uid, "gid": gid, "cgroup": cgroup,
                                      "args": args, "environment": environment, "values": values,
                                      "limits": limits }),
            )
        }
        Record::Named(r) => ("named", fields!(r, Named { module, note })),
        Record::Redaction(r) => ("redaction", fields!(r, Redaction { what, how, count })),
        Record::CodeObject(r) => {
            let lines: Vec<[u32; 3]> = r
                .lines
                .iter()
                .map(|CodeLine { start, line, column }| [start, line, column])
                .collect();
            let CodeObject {
                id,
                process_plus_one,
                runtime,
                kind,
                name,
                qualified_name,
                file,
                first_line,
                first_column,
                positions,
                lines: _,
            } = r;
            (
                "code object",
                json!({ "id": id, "process_plus_one": process_plus_one, "runtime": runtime,
                                    "kind": kind, "name": name, "qualified_name": qualified_name,
                                    "file": file, "first_line": first_line, "first_column": first_column,
                                    "positions": positions, "lines": lines }),
            )
        }
    };
    value["record"] = json!(name);
    value
}
