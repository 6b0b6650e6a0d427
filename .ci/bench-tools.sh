#!/usr/bin/env bash
# Installs the tools that `cargo bench --bench end_to_end -- tables` compares with, pinned with hashes, into .tools/bench;
# does nothing if they are there already. The tests do not need them.
set -euo pipefail
cd "$(dirname "$0")/.."

pins=.ci/requirements-bench.txt
home=.tools/bench

cmp -s "$pins" "$home/pins.txt" && exit 0
if ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv
fi
rm -rf "$home"
mkdir -p "$(dirname "$home")"
python3 -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r "$pins"
# The last thing, so that a broken installation is made anew.
cp "$pins" "$home/pins.txt"
