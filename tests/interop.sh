#!/bin/sh
# Checks ckstore against real torch and real anemoi-models.
# usage: tests/interop.sh [short|full] [--corpus DIR [--import MODULE]] [--only returning|tensors|upstream] [--seed N]
#
# CKSTORE_PYTHON is a Python that has torch and anemoi-models: tests/interop/setup.sh makes one. Without it nothing is
# checked and the command succeeds. CKSTORE_BINARY is the binary to drive; by default one is built.
# CKSTORE_INTEROP_KEEP is a folder that gets the files of failed cases.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${CKSTORE_PYTHON:-}" ]; then
    echo "interop: skipped, CKSTORE_PYTHON names no Python with torch and anemoi-models"
    exit 0
fi
if ! "$CKSTORE_PYTHON" -c 'import torch, omegaconf, anemoi.models.migrations' 2>/dev/null; then
    echo "interop: skipped, $CKSTORE_PYTHON lacks torch, omegaconf or anemoi-models"
    exit 0
fi
binary=${CKSTORE_BINARY:-}
if [ -z "$binary" ]; then
    (cd "$root" && cargo build --quiet)
    binary=${CARGO_TARGET_DIR:-$root/target}/debug/ckstore
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$CKSTORE_PYTHON" -W ignore "$root/tests/interop/run.py" "$@" --binary "$binary"
