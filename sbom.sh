#!/usr/bin/env bash
# Prints what a program is built from, as CycloneDX 1.6: crates with their checksums, also
# those that only the build needs, Rust's library, and, of rec, libraries of the system.
#
#   sbom.sh rec|conv|report
set -euo pipefail
cd "$(dirname "$0")"

# What a crate is built from, in lines of NAME|VERSION|LICENCE|KIND. build.sh builds all
# programs at once, so each has the features that any of them asks for.
crates() {
    local crate=$1
    shift
    cargo tree --locked --edges normal,build --no-dedupe --prefix depth --format ' {p}|{l}' "$@" |
        awk -v crate="$crate" '$1 == 0 { is_of = $2 == crate } is_of && NF' |
        sed -E 's/^[0-9]+ ([^ ]+) v([^ |]+)[^|]*\|(.*)$/\1|\2|\3|cargo/; s# */ *# OR #g'
}

program() {
    crates "$1" --package rz-record --package rz-convert --package rz-report
}

# The package of a static library, where the system can tell.
library() {
    local path package
    path=$(realpath "$(cc -print-file-name="lib$1.a")")
    package=$(dpkg-query --search "$path" 2>/dev/null | cut -d: -f1) || package=""
    if [ -n "$package" ]; then
        echo "$package|$(dpkg-query --show --showformat '${Version}' "$package")||deb"
    else
        echo "lib$1|||"
    fi
}

parts_of() {
    case "$1" in
        rec)
            program rz-record
            # rec's build script builds it.
            crates rz-alloc-hook --manifest-path record/alloc-hook/Cargo.toml
            for name in c elf z; do library $name; done
            ;;
        conv) program rz-convert ;;
        report) program rz-report ;;
    esac
    echo "rust-std|$(rustc --version | cut -d' ' -f2)|MIT OR Apache-2.0|"
}

# Reads Cargo.lock, of which it takes checksums, then the parts.
TO_JSON='
is_lock && /^(name|version|checksum) = / { split($0, part, "\""); of[$1] = part[2] }
is_lock && /^checksum = / { checksum[of["name"] "|" of["version"]] = of["checksum"] }
is_lock { next }
FNR == 1 {
    print "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.6\",\n  \"version\": 1,"
    printf "  \"metadata\": { \"component\": { \"type\": \"application\", "
    printf "\"name\": \"%s\", \"version\": \"%s\" } },\n  \"components\": [\n", program, version
}
{
    printf "%s    { \"type\": \"library\", \"name\": \"%s\"", (FNR > 1 ? ",\n" : ""), $1
    if ($2) printf ", \"version\": \"%s\"", $2
    if ($3) printf ", \"licenses\": [{ \"expression\": \"%s\" }]", $3
    at = $2; gsub(/\+/, "%2B", at); gsub(/:/, "%3A", at)
    sum = checksum[$1 "|" $2]
    # Crates without a checksum are those of this repository.
    if ($4 == "cargo" && sum) {
        printf ", \"purl\": \"pkg:cargo/%s@%s\"", $1, at
        printf ", \"hashes\": [{ \"alg\": \"SHA-256\", \"content\": \"%s\" }]", sum
    }
    if ($4 == "deb") printf ", \"purl\": \"pkg:deb/debian/%s@%s\"", $1, at
    printf " }"
}
END { print "\n  ]\n}" }
'

case "${1:-}" in
    rec | conv | report) ;;
    *)
        echo "usage: sbom.sh rec|conv|report" >&2
        exit 2
        ;;
esac
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
parts=$(parts_of "$1")
LC_ALL=C sort --unique <<<"$parts" |
    awk -v program="$1" -v version="$version" "$TO_JSON" \
        FS=' ' is_lock=1 Cargo.lock record/alloc-hook/Cargo.lock FS='|' is_lock=0 -
