#!/usr/bin/env bash
# Checks `ckstore serve` against its own description, with schemathesis, and under load.
# usage: tests/http.sh [short|full]
#
# `short` is for every change; `full` (the default) generates more requests and loads the server for longer.
# CKSTORE_SCHEMATHESIS is the `schemathesis` program; without it one is installed under target/http. Where that fails,
# as on a machine without a package index, that part is left out, which is said.
# CKSTORE_BINARY is the binary to serve with; by default one is built.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case ${1:-full} in
    short) examples=20 seconds=3 ;;
    full) examples=300 seconds=20 ;;
    *) echo "usage: tests/http.sh [short|full]" >&2 && exit 2 ;;
esac

. "$root/tests/setup.sh"
build() { cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" "$@"; }
binary=${CKSTORE_BINARY:-}
if [ -z "$binary" ]; then
    build
    binary=$target/release/ckstore
fi
build --example load
load=$target/release/examples/load

schemathesis=${CKSTORE_SCHEMATHESIS:-$target/http/bin/schemathesis}
if ! [ -x "$schemathesis" ] && ! { python3 -m venv "$target/http" &&
    "$target/http/bin/pip" install --quiet 'schemathesis==4.32.5' 'hypothesis==6.170.15'; } >"$target/http.log" 2>&1; then
    tail -n 3 "$target/http.log"
    schemathesis=
fi

home=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null && wait "$server" || true
        server=
    fi
}
trap 'stop; rm -rf "$home"' EXIT
cd "$home"
cp -r "$root/migrations" .
cp "$root"/tests/data/demo/*.ckpt .
for file in *.ckpt; do "$binary" import "$file" --name "weather/$(basename "$file" .ckpt)" >/dev/null; done
"$binary" import trained-0.8.1.ckpt --name last >/dev/null
"$binary" checkout last --version 0.8.3 -o last.ckpt >/dev/null
"$binary" tag first last~1 >/dev/null
mkdir scripts
cat >scripts/Migration_1000000000001_owner.py <<'SCRIPT'
from exodusutils.migration.base_migration import BaseMigration


class Migration(BaseMigration):
    def up(self, collection):
        collection.update_many({"kind": "x"}, {"$set": {"owner": "ada"}})

    def down(self, collection):
        collection.update_many({}, {"$unset": {"owner": ""}})
SCRIPT
printf '{"_id": "%s", "kind": "x"}\n' a b c >models.jsonl
"$binary" import models.jsonl --collection models --catalogue scripts >/dev/null
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >token)

# Starts a server with these options; its address is in $url.
start() {
    "$binary" serve --addr 127.0.0.1:0 --json --quiet "$@" >ready 2>>server.log &
    server=$!
    for _ in $(seq 100); do
        url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' ready)
        [ -n "$url" ] && return
        sleep 0.1
    done
    cat server.log >&2
    exit 1
}

check() {
    [ -n "$schemathesis" ] || return 0
    SCHEMATHESIS_HOOKS=$root/tests/http/hooks.py "$schemathesis" --no-color run "$url/openapi.json" --checks all \
        --continue-on-failure --max-examples "$examples" --warnings off --generation-database none "$@"
}

echo "== a server that only reads"
start
check
stop

echo "== a server that writes, with the token and without"
start --token-file token
check
check -H "Authorization: Bearer $(cat token)"
"$binary" fsck
stop
[ -n "$schemathesis" ] || echo "http: schemathesis cannot be installed here: the description was not checked with it"

echo "== load: reads at 1000 a second"
start
weather=weather%2Ftrained-0.8.1
for reads in /refs/last /refs /refs/last/log "/refs/$weather/status" "/refs/$weather/plan?version=0.8.3" /refs/last/checkout; do
    printf '%-50s ' "$reads"
    "$load" "${url#http://}" 1000 "$seconds" "$reads"
done
printf '%-50s ' 'all of them in turn'
"$load" "${url#http://}" 1000 "$seconds" /refs/last /refs /refs/last/log "/refs/$weather/status" \
    "/refs/$weather/plan?version=0.8.3" /refs/last/checkout
printf 'memory of the server, peak: '
sed -n 's/^VmHWM:[[:space:]]*//p' "/proc/$server/status" 2>/dev/null || echo 'not known here'
stop
