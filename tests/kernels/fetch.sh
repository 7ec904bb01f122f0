#!/usr/bin/env bash
# Brings a kernel to target/kernels/NAME/vmlinuz, NAME being one of those below.
#
# It comes as a package from where this machine's own apt gets its packages, by an
# apt configuration with lists and a cache of its own: those of the machine do not
# change, and nothing is installed. A kernel that is there already is left as it
# is; remove its folder to get the newest one of its name.
#
#   fetch.sh NAME
set -euo pipefail
cd "$(dirname "$0")/../.."

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Name, suite, and what the package is called there, as a regular expression.
known() {
    cat <<'LIST'
5.10    bullseye  linux-image-5\.10\.[0-9-]+-cloud-amd64
6.1     bookworm  linux-image-6\.1\.[0-9-]+-cloud-amd64
6.12    trixie    linux-image-6\.12\.[0-9]+\+deb13-cloud-amd64
newest  sid       linux-binary-[0-9.]+\+deb[0-9]+-cloud-amd64
LIST
}

name=$1
dir=target/kernels/$name
apt=$PWD/target/kernels/apt/$name

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

twice() {
    "$@" || { sleep 3 && "$@"; }
}

# Where this machine gets its own release from: the others are there as well.
archive() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016 # For apt to expand.
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^$codename //p" | sort -u | head -n 1
}

# A command of apt with its options, on lists and packages of this kernel only.
with_own_lists() {
    "$@" -qq -o APT::Sandbox::User=root -o Dir::Etc::SourceParts=- \
        -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::State::Lists="$apt/lists" \
        -o Dir::State::Status="$apt/status" -o Dir::Cache="$apt/cache"
}

fetch() {
    local suite=$1 pattern=$2 url package
    url=$(archive)
    [ -n "$url" ] || fail "apt does not say where this machine's packages come from"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    # As if nothing was installed.
    : >"$apt/status"
    echo "deb [arch=amd64 signed-by=$KEYRING] $url $suite main" >"$apt/sources.list"
    twice with_own_lists apt-get update || fail "no list of packages of $suite"
    package=$(with_own_lists apt-cache pkgnames | { grep -xE "$pattern" || true; } |
        sort -V | tail -n 1)
    [ -n "$package" ] || fail "$suite has no package $pattern"
    echo "kernel $name: $package of $suite"

    rm -rf "$dir" "$dir.new"
    mkdir -p "$dir.new/package"
    cd "$dir.new"
    twice with_own_lists apt-get download "$package" || fail "$package cannot be fetched"
    dpkg -x ./*.deb package
    # Not all packages have it in the same place. The rest is modules.
    find package -name 'vmlinuz*' -type f -exec mv {} vmlinuz \;
    [ -e vmlinuz ] || fail "there is no kernel in $package"
    rm -rf package ./*.deb
    cd - >/dev/null
    mv "$dir.new" "$dir"
}

if [ -e "$dir/vmlinuz" ]; then exit 0; fi
while read -r known_name suite pattern; do
    if [ "$known_name" = "$name" ]; then
        fetch "$suite" "$pattern"
        exit 0
    fi
done < <(known)
fail "no kernel $name"
