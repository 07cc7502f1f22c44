#!/usr/bin/env bash
# Freezes a guest of the interface as it is now. Run once for each released version of the interface; what
# is frozen is never made again, for it stands for the plugins that people have.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$(sed -n 's/^package sluicegate:plugin@\(.*\);$/\1/p' wit/plugin.wit)
out=tests/frozen/plugin-$version.wasm
[[ ! -e $out ]] || { echo "$out exists and stays as it is" >&2; exit 1; }

# Panic messages name source files; where they lie on this machine is nobody's business.
flags="--remap-path-prefix=$PWD=."
for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
  flags+=" --remap-path-prefix=$folder=dependencies"
done
RUSTFLAGS="$flags" cargo build --quiet --locked --profile guest --target wasm32-unknown-unknown \
  --target-dir build/frozen -p attack-tools
cargo build --quiet --locked -p componentize
target/debug/componentize build/frozen/wasm32-unknown-unknown/guest/attack_tools.wasm "$out"
sha256sum "$out"
