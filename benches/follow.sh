#!/bin/sh
# Measures following: weir beside coreutils tail -F in pairs, and what following costs when nothing
# happens. Answers are checked: a lost line ends the row with an error.
#
#   benches/follow.sh [ROW]...     all rows if none is named; --list lists them
#
# Everything can be set by environment:
#
#   WEIR_BIN              a weir to measure; without it one is built with the profile dist
#   WEIR_FOLLOW_DIR       folder of the followed files, on the disk to measure  [target/follow]
#   WEIR_FOLLOW_BYTES     size of what is written in the throughput rows        [1GiB]
#   WEIR_FOLLOW_RUNS      measured pairs                                        [5]
#   WEIR_FOLLOW_SECONDS   length of an idle measurement                         [60]
#   WEIR_FOLLOW_FILES     files of the idle and restart rows                    [10000]
#   WEIR_FOLLOW_MINUTES   length of the rotation row                            [2]
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
: "${WEIR_FOLLOW_DIR:=$root/target/follow}"
export WEIR_FOLLOW_DIR
if [ "${1:-}" != --list ] && [ -z "${WEIR_BIN:-}" ]; then
    cargo build --quiet --profile dist --manifest-path "$root/Cargo.toml"
    WEIR_BIN=${CARGO_TARGET_DIR:-$root/target}/dist/weir
    export WEIR_BIN
fi
exec python3 -B "$root/benches/follow/run.py" "$@"
