#!/usr/bin/env bash
# Fuzzes every decoder: no input may crash it or hold it up, and what it accepts must decode, encode and decode to the
# same value.
# usage: tests/fuzz.sh [short]               seeds and mutations on stable Rust, a minute a target
#        tests/fuzz.sh seconds N [TARGET]    the same, N seconds a target
#        tests/fuzz.sh long N [TARGET]       cargo-fuzz, which learns from coverage: N seconds a target
#
# `long` needs `cargo install cargo-fuzz` and a nightly compiler; CKSTORE_FUZZ_SANITIZER=none builds and runs faster.
# CKSTORE_FUZZ_SEED chooses other mutations for the rest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/setup.sh"
cd "$root"
extent=${1:-short}
case $extent in
    short) seconds=60 ;;
    seconds | long) seconds=${2:?how many seconds} ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
target=${3:-}
replay=fuzz::no_target_fails_on_its_seeds_and_their_mutations
if [ "$extent" != long ]; then
    # An input that asks for more memory than this is a finding.
    ulimit -v 8000000 2>/dev/null || true
    [ -z "$target" ] || export CKSTORE_FUZZ_TARGET=$target
    CKSTORE_FUZZ_SECONDS=$seconds exec cargo test --quiet --release --locked --test it -- --exact --nocapture \
        "$replay"
fi
CKSTORE_FUZZ_SEEDS=fuzz/corpus cargo test --quiet --release --locked --test it -- --exact "$replay"
targets=${target:-$(cd fuzz/fuzz_targets && ls ./*.rs | sed 's|^\./||;s|\.rs$||')}
for target in $targets; do
    cargo +nightly fuzz run --sanitizer "${CKSTORE_FUZZ_SANITIZER:-address}" "$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
        -dict="fuzz/corpus/$target.dict" -print_final_stats=1
done
