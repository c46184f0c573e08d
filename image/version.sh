#!/usr/bin/env bash
# Fails unless the program, the chart and the changelog have this version; with --notes prints what the changelog says.
#
#   version.sh [--notes] VERSION
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
notes=
if [[ ${1:-} == --notes ]]; then
  notes=yes
  shift
fi
version=${1:?version.sh [--notes] VERSION}

# What the changelog says of it: from its heading to the next.
section=$(awk -v version="$version" '/^## / { on = $2 == version; next } on' CHANGELOG.md)
if [[ -n $notes ]]; then
  printf '%s\n' "$section"
  exit
fi
wrong=0
differs() { printf 'version.sh: %s is not %s: change it, or the tag\n' "$1" "$version" >&2; wrong=1; }
grep -qx "version = \"$version\"" Cargo.toml || differs "the version in Cargo.toml"
grep -qx "version: $version" charts/probity/Chart.yaml || differs "the version in charts/probity/Chart.yaml"
grep -qx "appVersion: $version" charts/probity/Chart.yaml || differs "appVersion in charts/probity/Chart.yaml"
[[ -n $section ]] || differs "a heading of CHANGELOG.md"
exit "$wrong"
