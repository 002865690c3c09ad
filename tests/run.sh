#!/usr/bin/env bash
# Builds ckstore and runs all tests. Arguments go to cargo test: `tests/run.sh checkout`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/setup.sh"
exec cargo test --release --locked --manifest-path "$root/Cargo.toml" "$@"
