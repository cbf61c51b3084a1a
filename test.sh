#!/usr/bin/env bash
# What has to hold before a change goes in. Stops at the first failure.
#
#   ./test.sh fmt     brings every file into form; `cargo fmt` does not find those that src/registry.rs names
#   ./test.sh quick   form, lints and unit tests of the library: the loop while working
#   ./test.sh         everything that CI checks
#   ./test.sh long    what is too long for every push: 100,000 simulated schedules, kills at random
#                     times, reloads and every property twenty times, on a release build; fuzz/run.sh is a command
#                     of its own
set -euo pipefail
cd "$(dirname "$0")"

run() {
    printf '\n== %s\n' "$*" >&2
    "$@"
}

# Every file, since cargo fmt does not find those that src/registry.rs names.
form() {
    git ls-files -zco --exclude-standard 'src/*.rs' | xargs -0 rustfmt --edition 2024 "$@"
}

case "${1:-all}" in
fmt)
    run cargo fmt
    run form
    ;;
quick)
    run cargo fmt --check
    run form --check
    run cargo clippy --locked --lib -- -D warnings
    run cargo test --locked --lib
    ;;
all)
    run cargo fmt --check
    run form --check
    run cargo clippy --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" run cargo doc --locked --no-deps --lib
    run cargo test --locked
    ;;
long)
    WEIR_SIM_SCHEDULES=100000 run cargo test --locked --release --test it sim::
    for part in torture:: run::; do
        run cargo test --locked --release --test it "$part" -- --ignored --nocapture --test-threads 1
    done
    WEIR_LONG=1 run cargo test --locked --release --test it laws::
    run cargo test --locked --release --test it adding:: -- --ignored
    # Every run tries cases of its own.
    for _ in {1..20}; do
        run cargo test --locked --release --lib
    done
    ;;
*)
    echo "usage: ./test.sh [fmt|quick|long]" >&2
    exit 2
    ;;
esac
