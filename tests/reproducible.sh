#!/usr/bin/env bash
# Builds releases once more, in another folder, and fails unless they are the same bytes
# as those of build.sh in target/dist. Takes as long as a first build.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p target
folder=$(mktemp -d target/reproducible.XXXXXX)
trap 'rm -rf "$folder"' EXIT
copy=$folder/a/longer/path
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents --target-directory "$copy"
(cd "$copy" && env -u CARGO_TARGET_DIR ./build.sh)
failed=no
for program in rec conv report; do
    cmp "target/dist/$program" "$copy/target/dist/$program" || failed=yes
done
[ $failed = no ] || exit 1
echo "reproducible.sh: rec, conv and report are the same"
