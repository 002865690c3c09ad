#!/usr/bin/env bash
# Walks a folder of checkpoint files, one folder a family, and prints what became of each family: which files came back
# byte for byte, which were kept as plain bytes, which were refused, the slowest and the largest. Then the torch files
# are rewritten with one key more, and folders of shards with other names, and loaded with real torch, where there is one.
# usage: tests/corpus.sh [short] [DIR [--import MODULE]]
#
# DIR has a manifest.json: a list of {"path", "ok"}, where ok is true (it must come back), false (it must be refused, or
# kept as data) or null (either); without DIR it is tests/data/corpus. MODULE is one whose classes the files name, on
# PYTHONPATH. `short` leaves torch out. CKSTORE_PYTHON is a Python with torch, as for tests/interop.sh.
# CKSTORE_CORPUS_EACH=1 prints a line for each file.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/setup.sh"
short=
if [ "${1:-}" = short ]; then
    short=1
    shift
fi
folder=$(cd "${1:-$root/tests/data/corpus}" && pwd)
[ $# -eq 0 ] || shift

# No file may take more than this, whatever it says of itself.
ulimit -v 8000000 2>/dev/null || true
cd "$root"
CKSTORE_CORPUS=$folder cargo test --quiet --release --locked --test it -- --exact --nocapture \
    corpus::every_file_returns_or_is_refused_in_good_order
[ -z "$short" ] || exit 0
exec "$root/tests/interop.sh" full returning folders --corpus "$folder" "$@"
