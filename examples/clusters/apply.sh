#!/usr/bin/env bash
# Applies an example cluster to the one that kubectl talks to:
#
#   apply.sh good          the cluster done right
#   apply.sh bad           the same, and what is wrong on top of it
#   apply.sh good-people   what people say of the first, once the chart is installed
#   apply.sh bad-people    what they don't say of the other
#   apply.sh policy        the policy that judges either
#
# API_SERVERS: the addresses of the API servers, with commas between; else that of the kubeconfig.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# Who approves what the user of the kubeconfig asks for: a person, by impersonation.
approver=(--as=compliance@example.com --as-group=compliance)

# NOW, NOW-2h, NOW+90d, and WHOAMI: what else is written is kept as it is.
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
    printf '%s\n' "${line/": WHOAMI"/": $whoami"}"
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

whoami=
people() {
  local file as=()
  whoami=$(kubectl auth whoami -o 'jsonpath={.status.userInfo.username}')
  for file in "$here/$1"/*.yaml; do
    as=()
    if [[ $file == *status.yaml ]]; then as=(--subresource=status "${approver[@]}"); fi
    fill "$file" | kubectl apply --server-side --force-conflicts "${as[@]}" -f -
  done
}

case ${1-} in
  good) apply good ;;
  bad)
    apply good
    apply bad
    ;;
  good-people | bad-people) people "$1" ;;
  policy)
    servers=${API_SERVERS-$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')}
    policy=$(<"$here/policy.yaml")
    kubectl apply --server-side --force-conflicts -f - <<<"${policy/"[API_SERVERS]"/"[$servers]"}"
    ;;
  *)
    echo "usage: ${0##*/} good|bad|good-people|bad-people|policy" >&2
    exit 2
    ;;
esac
