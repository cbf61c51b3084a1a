#!/usr/bin/env bash
# Everything that has to hold before a change goes in: form, lints, docs, tests, and the tests that
# lose something on purpose. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")"

run() {
    printf '\n== %s\n' "$*" >&2
    "$@"
}

run cargo fmt --check
run cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" run cargo doc --locked --no-deps
run cargo test --locked
# The fail points change the program, so they get a build of their own, and only their tests.
run cargo test --locked --features failpoints --test it -- loss::
