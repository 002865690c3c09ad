#!/usr/bin/env bash
# Builds ckstore and shows the main job on checkpoints that torch wrote, in a fresh temporary folder.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/setup.sh"
cargo build --release --locked --manifest-path "$root/Cargo.toml"
target=${CARGO_TARGET_DIR:-$root/target}
PATH=$(cd "$target/release" && pwd):$PATH
unset CKSTORE_DIR
export CKSTORE_ACTOR=${CKSTORE_ACTOR:-$(id -un)}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cp -r "$root/migrations" .
cp "$root"/tests/data/demo/*.ckpt .
chmod -R u+w .

say() { printf '\n# %s\n' "$*"; }
# Shows a command, then runs it.
run() { printf '\n$ %s\n' "$*"; "$@"; }
# The same for one that must end with this exit code.
refused() {
    local expected=$1 found=0
    shift
    run "$@" || found=$?
    echo "(exit code $found)"
    [ "$found" = "$expected" ]
}

say 'A checkpoint that was trained with model code 0.12.2.'
run ckstore import trained-0.12.2.ckpt
run ckstore plan --version 0.12.0
say 'Back to 0.12.0: one fused attention weight again, in tensors and optimizer state.'
run ckstore checkout --version 0.12.0
printf '\n$ ckstore diff | grep state_dict/\n'
ckstore diff | grep state_dict/
say 'Forward again.'
run ckstore checkout --version 0.12.2
run ckstore status

say 'Another one, trained with 0.8.1: to 0.8.3, and back to the very same bytes.'
cp trained-0.8.1.ckpt before.ckpt
run ckstore import trained-0.8.1.ckpt
run ckstore checkout --version 0.8.3
run ckstore diff
run ckstore checkout --version 0.8.1
run cmp before.ckpt trained-0.8.1.ckpt && echo 'the same bytes'
say 'The model of 0.9.0 cannot be reached from there by a migration: refused, and nothing was changed.'
refused 3 ckstore checkout --version 0.9.0

say 'What was done, and where everything stands.'
run ckstore log history
run ckstore log groups
run ckstore status --all
run ckstore fsck
printf '\nAll of it worked.\n'
