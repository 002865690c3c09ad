#!/usr/bin/env bash
# Checks ckstore against real torch and real anemoi-models.
# usage: tests/interop.sh [short|full] [PART ...] [--seed N] [--corpus DIR [--import MODULE]]
#
# A part is a Python file in tests/interop that has a `run`; without a name all parts run. `short` is for every change,
# `full` (the default) generates some hundred cases a part.
# CKSTORE_PYTHON is a Python that has torch and anemoi-models; without it one is made under target/interop. Where that
# fails, as on a machine without a package index, nothing is checked, which is said, and the command succeeds.
# CKSTORE_BINARY is the binary to drive; by default one is built.
# CKSTORE_INTEROP_KEEP is a folder that gets the files of failed cases.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
needs='import torch, safetensors, omegaconf, anemoi.models.migrations'

skip() {
    echo "interop: SKIPPED, nothing was compared with torch or anemoi-models: $*"
    exit 0
}

python=${CKSTORE_PYTHON:-$target/interop/bin/python}
if ! "$python" -c "$needs" 2>/dev/null; then
    [ -z "${CKSTORE_PYTHON:-}" ] || skip "CKSTORE_PYTHON ($python) lacks torch, safetensors, omegaconf or anemoi-models"
    log=$target/interop.log
    mkdir -p "$target"
    echo "interop: installing torch and anemoi-models into $target/interop"
    if ! timeout "${CKSTORE_INTEROP_SETUP_SECONDS:-240}" "$root/tests/interop/setup.sh" "$target/interop" >"$log" 2>&1; then
        tail -n 5 "$log"
        skip "they cannot be installed here, see $log"
    fi
fi

binary=${CKSTORE_BINARY:-}
if [ -z "$binary" ]; then
    . "$root/tests/setup.sh"
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml"
    binary=$target/release/ckstore
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" -W ignore "$root/tests/interop/run.py" "$@" --binary "$binary"
