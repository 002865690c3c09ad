#!/usr/bin/env bash
# Compares what scripts see and do to documents with mongomock, on cases made from seeds.
# usage: tests/documents.sh [short|full|measure]
#
# `measure` compares nothing: it times scripts on 10,000 documents, and on so many as mongomock gets through, and a
# checkout of 200 checkpoints.
#
# CKSTORE_BINARY is the binary to drive; by default one is built. Where mongomock cannot be installed, nothing is
# compared, which is said, and the command succeeds. Where mongomock departs from MongoDB's manual, montydb, another
# implementation, has to agree with ckstore, or both have to when the case is said in other words: tests/documents/compare.py.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
batches=40
[ "${1:-full}" != short ] || batches=4

python=$target/documents/bin/python
if ! "$python" -c 'import mongomock, montydb, bson' 2>/dev/null; then
    mkdir -p "$target"
    if ! { python3 -m venv "$target/documents" && "$python" -m pip install --quiet mongomock==4.3.0 montydb==2.5.6 pymongo==4.20.0; } >"$target/documents.log" 2>&1; then
        tail -n 3 "$target/documents.log"
        echo "documents: SKIPPED, nothing was compared: mongomock cannot be installed here"
        exit 0
    fi
fi
binary=${CKSTORE_BINARY:-}
if [ -z "$binary" ]; then
    . "$root/tests/setup.sh"
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml"
    binary=$target/release/ckstore
fi
export PYTHONDONTWRITEBYTECODE=1
if [ "${1:-full}" = measure ]; then
    exec "$python" -W ignore "$root/tests/documents/measure.py" "$binary" 10000 2000
fi
exec "$python" -W ignore "$root/tests/documents/compare.py" "$binary" "$batches"
