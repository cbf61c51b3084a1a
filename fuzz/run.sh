#!/usr/bin/env bash
# Fuzzes every target, or those that are named, for so many minutes each, one after the other.
# What is found is put into fuzz/artifacts/TARGET; new inputs of interest are kept in fuzz/work/TARGET.
# Prints one row a target: runs, seconds, edges covered, slowest input, largest memory, crashes.
set -euo pipefail
cd "$(dirname "$0")"

if [ "$#" -lt 1 ] || ! [[ "$1" =~ ^[0-9]+$ ]]; then
    echo "usage: fuzz/run.sh MINUTES [TARGET...]" >&2
    exit 2
fi
seconds=$(($1 * 60))
shift
if [ "$#" -eq 0 ]; then
    for target in targets/*.rs; do
        set -- "$@" "$(basename "$target" .rs)"
    done
fi

# libFuzzer's instrumentation needs unstable flags of the compiler; this makes a stable one take them.
export RUSTC_BOOTSTRAP=1
# No sanitizer: the library forbids unsafe code but in one file, and without one more inputs are run.
cargo fuzz build --sanitizer none

host=$(rustc -vV | sed -n 's/^host: //p')
found=0
printf '%-14s %12s %8s %8s %10s %8s %8s\n' target runs seconds edges "slowest s" "RSS MiB" crashes
for target in "$@"; do
    mkdir -p "work/$target" "artifacts/$target" "regressions/$target"
    log="work/$target.log"
    before=$(find "artifacts/$target" -type f | wc -l)
    # 4096 bytes reach every path; an input that takes more than a second is a finding.
    nice "target/$host/release/$target" \
        -max_total_time="$seconds" -timeout=5 -report_slow_units=1 -rss_limit_mb=1024 \
        -max_len=4096 -print_final_stats=1 -artifact_prefix="artifacts/$target/" \
        "work/$target" "corpus/$target" "regressions/$target" >"$log" 2>&1 || true
    new=$(($(find "artifacts/$target" -type f | wc -l) - before))
    found=$((found + new))
    value() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    printf '%-14s %12s %8s %8s %10s %8s %8s\n' "$target" "$(value number_of_executed_units)" \
        "$seconds" "$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" \
        "$(value slowest_unit_time_sec)" "$(value peak_rss_mb)" "$new"
    rmdir --ignore-fail-on-non-empty "regressions/$target"
done
[ "$found" -eq 0 ]
