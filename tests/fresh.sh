#!/usr/bin/env bash
# Runs the README's two commands as on a machine that has never seen rz.
#
#   tests/fresh.sh [COMMAND...]      default: ./quickstart.sh, then tests/run.sh
#
# The last commit is cloned into a temporary folder, and what earlier runs
# leave in caches is out of sight: cargo's packages (its settings stay), npm's,
# pip's and rz's own, and the repository's target folder. What apt has
# installed stays installed: for that, take a new machine.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

old_cargo=${CARGO_HOME:-$HOME/.cargo}
mkdir "$scratch/cargo"
for settings in config.toml config credentials.toml credentials; do
    if [ -e "$old_cargo/$settings" ]; then cp "$old_cargo/$settings" "$scratch/cargo/"; fi
done
export CARGO_HOME=$scratch/cargo
export XDG_CACHE_HOME=$scratch/cache
export npm_config_cache=$scratch/npm
export PIP_CACHE_DIR=$scratch/pip
unset CARGO_TARGET_DIR RZ_CACHE_DIR

git clone --quiet --no-hardlinks . "$scratch/rz"
cd "$scratch/rz"
if [ $# -gt 0 ]; then
    "$@"
    exit
fi
for command in ./quickstart.sh tests/run.sh; do
    printf '\n#### %s (%d s)\n' "$command" "$SECONDS"
    "$command"
done
printf '\n#### both passed (%d s)\n' "$SECONDS"
