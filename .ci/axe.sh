#!/usr/bin/env bash
# Installs axe-core, pinned with its hash, into .tools/axe; does nothing if it is there already.
# `cargo test --test dashboard` checks every page with it in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=.ci/axe/package-lock.json
home=.tools/axe

cmp -s "$lock" "$home/installed.json" && exit 0
if ! command -v npm >/dev/null 2>&1; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm
fi
rm -rf "$home"
mkdir -p "$home"
cp .ci/axe/package.json "$lock" "$home/"
npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --silent
# The last thing, so that a broken installation is made anew.
cp "$lock" "$home/installed.json"
