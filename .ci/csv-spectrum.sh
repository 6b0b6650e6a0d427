#!/usr/bin/env bash
# Fetches csv-spectrum (npm), pinned by its hash, into .tools/csv-spectrum; does nothing if it is there already.
# `cargo test --test bulk spectrum` reads it from there.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.0.0
integrity=sha512-gjW9YEAkcrJo4AEdrV9+4lkUXlOyYyC+1Ap3efzMiUUs1OTdZ29VraBZNBBKZK7iiUkbMNkUmfKp/jnayzHxAA==
home=.tools/csv-spectrum

[ "$(cat "$home/version.txt" 2>/dev/null)" = "$version" ] && exit 0
if ! command -v npm >/dev/null 2>&1; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends npm
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "csv-spectrum@$version" >/dev/null
found=sha512-$(openssl dgst -sha512 -binary "$work/csv-spectrum-$version.tgz" | base64 -w0)
[ "$found" = "$integrity" ] || { echo "csv-spectrum $version is not what it was: $found"; exit 1; }
rm -rf "$home"
mkdir -p "$home"
tar -xzf "$work/csv-spectrum-$version.tgz" -C "$home" --strip-components=1
# The last thing, so that a broken installation is made anew.
echo "$version" > "$home/version.txt"
