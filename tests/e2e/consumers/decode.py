"""Prints what is in an export, as JSON: by the schema that the format's own Python package has."""
import csv
import json
import sys


def perfetto(path):
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

    with open(path, "rb") as file:
        trace = Trace.FromString(file.read())
    kinds = ("function_names", "source_paths", "mapping_paths", "frames", "mappings", "callstacks")
    interned = {kind: {} for kind in (*kinds, "stack_sample_counter_descriptors")}
    names, tracks, open_slices = {}, {}, {}
    samples, slices, counters = [], [], []
    for packet in trace.packet:
        for kind, known in interned.items():
            for entry in getattr(packet.interned_data, kind):
                assert entry.iid and entry.iid not in known, (kind, entry)
                known[entry.iid] = entry
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            tracks[track.uuid] = track
            if track.HasField("thread"):
                names[track.thread.tid] = track.thread.thread_name
        if packet.HasField("stack_sample"):
            sample = packet.stack_sample
            counter = interned["stack_sample_counter_descriptors"][sample.primary_descriptor_iid]
            stack = []
            if sample.callstack_iid:
                for frame_id in interned["callstacks"][sample.callstack_iid].frame_ids:
                    frame = interned["frames"][frame_id]
                    if frame.mapping_id:
                        assert frame.mapping_id in interned["mappings"]
                    stack.append(interned["function_names"][frame.function_name_id].str.decode())
            task = sample.task_context
            assert task.tid in names
            samples.append([counter.name, task.tid, stack, sample.primary_weight])
        if packet.HasField("track_event"):
            event = packet.track_event
            track = tracks[event.track_uuid]
            if event.type == event.TYPE_COUNTER:
                counters.append(event.counter_value)
            elif event.type == event.TYPE_SLICE_BEGIN:
                open_slices[event.track_uuid] = (event.name, packet.timestamp)
            else:
                name, start = open_slices.pop(event.track_uuid)
                tid = tracks[track.parent_uuid].thread.tid
                slices.append([track.name, tid, name, packet.timestamp - start])
    assert not open_slices
    return {"samples": samples, "slices": slices, "counters": counters, "threads": names}


def otlp(path):
    from opentelemetry.proto.profiles.v1development.profiles_pb2 import ProfilesData

    with open(path, "rb") as file:
        data = ProfilesData.FromString(file.read())
    known = data.dictionary
    text = known.string_table
    assert text[0] == ""
    samples = []
    for scope in (scope for of in data.resource_profiles for scope in of.scope_profiles):
        for profile in scope.profiles:
            for sample in profile.samples:
                attributes = [known.attribute_table[index] for index in sample.attribute_indices]
                attributes = {text[each.key_strindex]: each.value for each in attributes}
                stack = []
                for index in known.stack_table[sample.stack_index].location_indices:
                    for line in known.location_table[index].lines:
                        function = known.function_table[line.function_index]
                        stack.insert(0, text[function.name_strindex])
                event = text[profile.sample_type.type_strindex]
                tid = attributes["thread.id"].int_value
                samples.append([event, tid, stack, sum(sample.values)])
    return {"samples": samples}


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


print(json.dumps({"perfetto": perfetto, "otlp": otlp, "csv": rows}[sys.argv[1]](sys.argv[2])))
