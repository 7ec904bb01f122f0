// The kernel's part of the recorder. See docs/ARCHITECTURE.md for how it works
// together with the rest, and Makefile for how the object is made. What depends
// on the processor is in a folder of its own, whose files have the same names for
// each: types.h, registers.h, system_calls.h, probes.h.
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "layout.h"
#include "maps.h"
#include "registers.h"
#include "system_calls.h"
#include "probes.h"
#include "stack.h"
#include "python.h"
#include "totals.h"
#include "sample.h"
#include "waits.h"
#include "calls.h"
#include "data.h"
#include "functions.h"
#include "alloc.h"
#include "track.h"

char LICENSE[] SEC("license") = "GPL";
