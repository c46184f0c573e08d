#!/usr/bin/env bash
# Builds a Kubernetes control plane from pinned Go modules into .bin/, for the tests.
#
#   build.sh [GROUP...]    GROUP: etcd kubernetes kwok helm crds cron cyclonus tlog s3 witness duckdb
#                        prometheus grafana openapi (all by default)
#
# Needs Go, bash and coreutils; for DuckDB, which reads Parquet, Python. What is already built from the same pins is skipped at once.
# Binaries of KUBEBUILDER_ASSETS (etcd, kube-apiserver, kubectl) are used where they run.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
bin=$here/.bin
stamps=$bin/.stamps
assets=
[[ -z ${KUBEBUILDER_ASSETS:-} ]] || assets=$(cd -- "$KUBEBUILDER_ASSETS" 2>/dev/null && pwd) || assets=

kubernetes_version=v1.37.2
kubernetes_ldflags="-s -w"
kubernetes_ldflags+=" -X k8s.io/component-base/version.gitVersion=$kubernetes_version"
kubernetes_ldflags+=" -X k8s.io/component-base/version.gitMajor=1"
kubernetes_ldflags+=" -X k8s.io/component-base/version.gitMinor=37"

kwok_stages=(
  node/fast/node-initialize.yaml
  node/heartbeat-with-lease/node-heartbeat-with-lease.yaml
  pod/fast/pod-ready.yaml
  pod/fast/pod-complete.yaml
  pod/fast/pod-delete.yaml
)

# The environment of the caller must not change what is built.
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false GOOS= GOARCH=

say() { printf 'tests/cluster: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# The binaries of a group, each as NAME=PACKAGE.
binaries() {
  case $1 in
    etcd) echo "etcd=go.etcd.io/etcd/server/v3" ;;
    kubernetes)
      for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
        echo "$name=k8s.io/kubernetes/cmd/$name"
      done ;;
    kwok) echo "kwok=sigs.k8s.io/kwok/cmd/kwok" ;;
    helm) echo "helm=helm.sh/helm/v4/cmd/helm" ;;
    cron) echo "cron=." ;;
    cyclonus) echo "cyclonus=." ;;
    witness) echo "witness=." ;;
    tlog) echo "fsck=github.com/transparency-dev/tessera/cmd/fsck" ;;
    prometheus)
      for name in prometheus promtool; do
        echo "$name=github.com/prometheus/prometheus/cmd/$name"
      done ;;
    grafana) echo "dashboards=." ;;
    s3) echo "versitygw=github.com/versity/versitygw/cmd/versitygw" ;;
    crds | duckdb | openapi) ;;
    *) die "unknown group: $1 (etcd kubernetes kwok helm crds cron cyclonus tlog s3 witness duckdb prometheus grafana openapi)" ;;
  esac
}

ldflags() {
  case $1 in
    kubernetes) echo "$kubernetes_ldflags" ;;
    *) echo "-s -w" ;;
  esac
}

# Build tags. Prometheus is built without its clients of cloud providers: most of its code.
tags() {
  case $1 in
    prometheus) echo remove_all_sd ;;
  esac
}

# What a cold build takes on 2 cores; the Go build cache makes later ones much shorter.
usual_time() {
  case $1 in
    etcd) echo "about 1 minute" ;;
    kube-apiserver) echo "about 7 minutes" ;;
    kube-controller-manager) echo "about 2 minutes" ;;
    kube-scheduler | kubectl) echo "about 1 minute" ;;
    kwok) echo "about 2 minutes" ;;
    helm) echo "about 3 minutes" ;;
    cron | witness) echo "a few seconds" ;;
    cyclonus | fsck | dashboards | promtool) echo "about 1 minute" ;;
    prometheus | versitygw) echo "about 3 minutes" ;;
  esac
}

# The stamp of a group: equal stamps mean equal results.
group_stamp() {
  local sum
  if [[ $1 == crds || $1 == openapi ]]; then
    sum=$(sha256sum <"$here/$1/modules.txt")
  elif [[ $1 == duckdb ]]; then
    sum=$({ cat "$here/duckdb/requirements.txt"; python3 --version; } | sha256sum)
  else
    sum=$({ cat "$here/$1"/go.* "$here/$1"/*.go 2>/dev/null; ldflags "$1"; tags "$1"; } | sha256sum) || true
  fi
  echo "${sum%% *}"
}

stages_stamp() { echo "$(group_stamp kwok) ${kwok_stages[*]}"; }

# The path of a usable binary in KUBEBUILDER_ASSETS, or nothing.
asset() {
  local path=$assets/$1
  [[ -n $assets && -x $path ]] || return 0
  case $1 in
    etcd | kube-apiserver) "$path" --version >/dev/null 2>&1 || return 0 ;;
    kubectl) "$path" version --client >/dev/null 2>&1 || return 0 ;;
    *) return 0 ;;
  esac
  echo "$path"
}

stamped() { # NAME STAMP
  local found=
  [[ -r $stamps/$1 ]] && read -r found <"$stamps/$1" || true
  [[ $found == "$2" ]]
}

stamp() { # NAME STAMP
  printf '%s\n' "$2" >"$stamps/.$1.$$"
  mv -f -- "$stamps/.$1.$$" "$stamps/$1"
}

# Where a binary is to come from: "asset PATH" or the stamp of its group.
wanted_stamp() { # GROUP NAME
  local path
  path=$(asset "$2")
  if [[ -n $path ]]; then echo "asset $path"; else group_stamp "$1"; fi
}

up_to_date() { # GROUP
  local entry name
  for entry in $(binaries "$1"); do
    name=${entry%%=*}
    [[ -x $bin/$name ]] && stamped "$name" "$(wanted_stamp "$1" "$name")" || return 1
  done
  case $1 in
    kwok) stamped kwok-stages "$(stages_stamp)" ;;
    crds | duckdb | openapi) stamped "$1" "$(group_stamp "$1")" ;;
  esac
}

build_binary() { # GROUP NAME PACKAGE
  local group=$1 name=$2 package=$3 wanted path temporary started
  wanted=$(wanted_stamp "$group" "$name")
  [[ -x $bin/$name ]] && stamped "$name" "$wanted" && return 0
  temporary=$bin/.tmp.$$.$name
  path=$(asset "$name")
  if [[ -n $path ]]; then
    say "taking $name from KUBEBUILDER_ASSETS"
    ln -s -- "$path" "$temporary"
  else
    say "building $name (cold: $(usual_time "$name"))"
    started=$SECONDS
    (cd -- "$here/$group" && go build -trimpath -tags "$(tags "$group")" -ldflags "$(ldflags "$group")" -o "$temporary" "$package") \
      || die "$name could not be built"
    say "built $name in $((SECONDS - started)) s"
  fi
  mv -fT -- "$temporary" "$bin/$name"
  stamp "$name" "$wanted"
}

# Replaces the folder $1 by the folder $2.
swap_folder() {
  rm -rf -- "$bin/.old.$$"
  [[ ! -e $1 ]] || mv -T -- "$1" "$bin/.old.$$"
  mv -T -- "$2" "$1"
  rm -rf -- "$bin/.old.$$"
}

copy_stages() {
  local module stage temporary=$bin/.tmp.$$.stages
  stamped kwok-stages "$(stages_stamp)" && return 0
  module=$(cd -- "$here/kwok" && go mod download sigs.k8s.io/kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)
  mkdir -p -- "$temporary"
  for stage in "${kwok_stages[@]}"; do
    cat -- "$module/kustomize/stage/$stage" >"$temporary/${stage##*/}"
  done
  swap_folder "$bin/kwok-stages" "$temporary"
  stamp kwok-stages "$(stages_stamp)"
}

# The value of a string field of the JSON that `go mod download -json` prints.
json_field() { # JSON FIELD
  local rest=${1#*\""$2"\": \"}
  [[ $rest != "$1" ]] || return 0
  echo "${rest%%\"*}"
}

copy_crds() {
  local name module version hash folder json file first temporary=$bin/.tmp.$$.crds
  stamped crds "$(group_stamp crds)" && return 0
  while read -r name module version hash folder; do
    [[ -n $name && $name != \#* ]] || continue
    say "fetching the CRDs of $name $version"
    json=$(cd -- "$here/crds" && go mod download -json "$module@$version") || die "$module@$version: $json"
    [[ $(json_field "$json" Sum) == "$hash" ]] \
      || die "$module@$version: hash is $(json_field "$json" Sum), modules.txt says $hash"
    mkdir -p -- "$temporary/$name"
    for file in "$(json_field "$json" Dir)/$folder"/*.yaml; do
      [[ ${file##*/} != kustomiz* ]] || continue
      cat -- "$file" >"$temporary/$name/${file##*/}"
    done
  done <"$here/crds/modules.txt"
  swap_folder "$bin/crds" "$temporary"
  stamp crds "$(group_stamp crds)"
}

# What the API servers of other versions say of their types; nothing of them is built.
copy_openapi() {
  local minor version hash json temporary=$bin/.tmp.$$.openapi
  stamped openapi "$(group_stamp openapi)" && return 0
  mkdir -p -- "$temporary"
  while read -r minor version hash; do
    [[ -n $minor && $minor != \#* ]] || continue
    say "fetching the types of Kubernetes $version"
    json=$(cd -- "$here/crds" && go mod download -json "k8s.io/kubernetes@$version") || die "k8s.io/kubernetes@$version: $json"
    [[ $(json_field "$json" Sum) == "$hash" ]] \
      || die "k8s.io/kubernetes@$version: hash is $(json_field "$json" Sum), modules.txt says $hash"
    cat -- "$(json_field "$json" Dir)/api/openapi-spec/swagger.json" >"$temporary/$minor.json"
  done <"$here/openapi/modules.txt"
  swap_folder "$bin/openapi" "$temporary"
  stamp openapi "$(group_stamp openapi)"
}

install_duckdb() {
  local folder=$bin/duckdb
  say "installing DuckDB into $folder"
  rm -rf -- "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/duckdb/requirements.txt" \
    || die "DuckDB could not be installed"
  (cd -- "$folder" && ln -s -- lib/python*/site-packages/duckdb_extension_httpfs/extensions/*/httpfs.duckdb_extension .)
  stamp duckdb "$(group_stamp duckdb)"
}

groups=("$@")
((${#groups[@]})) || groups=(etcd kubernetes kwok helm crds cron cyclonus tlog s3 witness duckdb prometheus grafana openapi)

missing=()
for group in "${groups[@]}"; do
  binaries "$group" >/dev/null
  up_to_date "$group" || missing+=("$group")
done
((${#missing[@]})) || exit 0

mkdir -p -- "$stamps"
command -v go >/dev/null || die "Go is needed to build: ${missing[*]}"

# One builder at a time; the others wait and then find the work done.
exec 9>"$bin/.lock"
if command -v flock >/dev/null; then
  flock -n 9 || { say "another build is running, waiting for it"; flock 9; }
fi
trap 'rm -rf -- "$bin"/.tmp.$$.* "$bin/.old.$$" "$stamps"/.*.$$' EXIT

for group in "${missing[@]}"; do
  for entry in $(binaries "$group"); do
    build_binary "$group" "${entry%%=*}" "${entry#*=}"
  done
  case $group in
    kwok) copy_stages ;;
    crds) copy_crds ;;
    openapi) copy_openapi ;;
    duckdb) install_duckdb ;;
  esac
done
