#!/usr/bin/env bash
# Applies an example cluster to the one that kubectl talks to:
#
#   apply.sh good          the cluster done right
#   apply.sh bad           the same, and what is wrong on top of it
#   apply.sh policy        the policy that judges either
#
# API_SERVERS: the addresses of the API servers, with commas between; else that of the kubeconfig.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# NOW, NOW-2h, NOW+90d: what else is written is kept as it is.
fill() {
  local line time at factor
  while IFS= read -r line || [[ -n $line ]]; do
    while [[ $line =~ ': '(NOW(([-+])([0-9]+)([smhd]))?) ]]; do
      at=$(date +%s)
      case ${BASH_REMATCH[5]:-s} in
        s) factor=1 ;;
        m) factor=60 ;;
        h) factor=3600 ;;
        d) factor=86400 ;;
      esac
      at=$((at ${BASH_REMATCH[3]:-+} ${BASH_REMATCH[4]:-0} * factor))
      TZ=UTC printf -v time '%(%Y-%m-%dT%H:%M:%SZ)T' "$at"
      line=${line/": ${BASH_REMATCH[1]}"/": \"$time\""}
    done
    printf '%s\n' "$line"
  done <"$1"
}

# Every file in order; what only controllers write goes where they write it.
apply() {
  local file
  for file in "$here/$1"/*.yaml; do
    case ${file##*/} in
      *status.yaml) fill "$file" | kubectl apply --server-side --force-conflicts --subresource=status -f - ;;
      *) fill "$file" | kubectl apply --server-side --force-conflicts -f - ;;
    esac
  done
}

case ${1-} in
  good) apply good ;;
  bad)
    apply good
    apply bad
    ;;
  policy)
    servers=${API_SERVERS-$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')}
    policy=$(<"$here/policy.yaml")
    kubectl apply --server-side --force-conflicts -f - <<<"${policy/"[API_SERVERS]"/"[$servers]"}"
    ;;
  *)
    echo "usage: ${0##*/} good|bad|policy" >&2
    exit 2
    ;;
esac
