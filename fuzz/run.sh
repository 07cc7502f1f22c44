#!/usr/bin/env bash
# Fuzzes everything that reads outside bytes: each target in turn, from its seeds and what earlier runs
# found (fuzz/corpus). Ends with the first crash; the input that caused it is in fuzz/artifacts.
#
#   fuzz/run.sh [seconds] [target…]     seconds for each target, default FUZZ_SECONDS or 60
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-${FUZZ_SECONDS:-60}}
targets=("${@:2}")
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "seconds must be a whole number above 0, got $seconds" >&2; exit 64; }
((${#targets[@]})) || targets=(notification records columns answers stored ledger_rows ledger_items plugin_output config guard redaction sigma ocsf)

cargo +nightly --version >/dev/null 2>&1 || { echo "missing: the nightly toolchain. rustup toolchain install nightly --profile minimal" >&2; exit 1; }
cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "missing: cargo-fuzz. cargo install --locked cargo-fuzz" >&2; exit 1; }

# Longest input in bytes: enough for what the target tells apart, short enough to be tried often.
longest() {
  case $1 in
    columns) echo 2048 ;;
    config) echo 4096 ;;
    *) echo 8192 ;;
  esac
}

for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target"
  echo "fuzzing $target for $seconds s" >&2
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -max_len="$(longest "$target")" \
    -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 -verbosity=0 -print_funcs=0 -print_final_stats=1
done
