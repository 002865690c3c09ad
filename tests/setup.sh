# Makes sure of what a build needs; sourced by the other scripts.
# cargo with rustc 1.95 or newer, and a C compiler for SQLite and zstd, which are built from source.

if ! command -v cargo >/dev/null; then
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust 1.95 or newer" >&2
    exit 1
fi
if ! command -v cc >/dev/null; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq </dev/null && apt-get install -y -qq gcc libc6-dev </dev/null
    else
        echo "a C compiler is missing: on Debian, \`sudo apt-get install gcc libc6-dev\`" >&2
        exit 1
    fi
fi
