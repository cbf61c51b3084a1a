#!/bin/sh
# Runs the same work through weir and through what users would run instead, and prints ratios.
#
#   benches/peers.sh [ROW]...      all rows that have a goal if none is named; --list lists them,
#                                  a name may end in * (json*)
#
# The peers are installed from their packages into a folder of their own, the corpora are made
# once and kept there. Everything can be set by environment:
#
#   WEIR_PEERS_DIR     folder of the peers             [target/peers beside Cargo.toml]
#   WEIR_PEERS_CORPORA folder of the corpora           [$WEIR_PEERS_DIR/corpora]
#   WEIR_PEERS_BYTES   size of a corpus, e.g. 64MiB    [1GiB]
#   WEIR_PEERS_RUNS    measured runs of each side      [5]
#   WEIR_SHARED_DATA   folder with gen_corpus.py       [../shared/data beside the repository]
#   WEIR_BIN           a weir to measure; without it one is built with the profile dist
#   WEIR_PEERS_OFFLINE installs nothing: a row whose peer is missing is skipped and says so
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
: "${WEIR_PEERS_DIR:=$root/target/peers}"
: "${WEIR_SHARED_DATA:=$root/../shared/data}"
export WEIR_PEERS_DIR WEIR_SHARED_DATA
mkdir -p "$WEIR_PEERS_DIR"

note() { echo "peers: $*" >&2; }

# crate BINARY PACKAGE VERSION
crate() {
    [ -x "$WEIR_PEERS_DIR/bin/$1" ] ||
        cargo install --quiet --locked --root "$WEIR_PEERS_DIR" --version "$3" "$2" ||
        note "$2 could not be installed"
}

if [ "${1:-}" != --list ] && [ -z "${WEIR_PEERS_OFFLINE:-}" ]; then
    # Each peer is a dead end of its own: one that cannot be installed costs its rows, not the run.
    crate rg ripgrep '^15'
    crate agrind ag '*'
    [ -x "$WEIR_PEERS_DIR/venv/bin/python" ] || python3 -m venv "$WEIR_PEERS_DIR/venv" ||
        note "no virtual environment for the Python peers"
    for package in duckdb chdb polars drain3; do
        "$WEIR_PEERS_DIR/venv/bin/python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$package'))" 2>/dev/null ||
            "$WEIR_PEERS_DIR/venv/bin/python" -m pip install --quiet "$package" ||
            note "$package could not be installed"
    done
    missing=
    for tool in mawk jq goaccess; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        apt-get install --yes --quiet --no-install-recommends $missing >/dev/null ||
            note "not installed, and its rows will be skipped:$missing"
    fi
fi

if [ "${1:-}" != --list ] && [ -z "${WEIR_BIN:-}" ]; then
    cargo build --quiet --profile dist --manifest-path "$root/Cargo.toml"
    WEIR_BIN=${CARGO_TARGET_DIR:-$root/target}/dist/weir
    export WEIR_BIN
fi

exec python3 -B "$root/benches/peers/run.py" "$@"
