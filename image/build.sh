#!/usr/bin/env bash
# Builds the image for this machine's architecture into target/image/:
#
#   probity-VERSION.tar              the image, as an OCI archive
#   probity-VERSION.cdx.json         what the program is made of: CycloneDX
#   probity-VERSION.provenance.json  how it was made: in-toto statement, SLSA provenance v1; not signed
#   digest                           digest of the image's manifest
#
# Needs rustup, git, jq, a C compiler for musl (Debian: musl-tools), and buildah or docker. So that the same commit and
# compiler give the same bytes, paths are cut out of the program, and times are the commit's.
#
#   PROBITY_BINARY=FILE   put this program into the image instead of building one
#   IMAGE=NAME            name of the image in local storage; localhost/probity if not given
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
say() { printf 'image: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is needed: $2"; }

cyclonedx_version=0.5.9
machine=$(uname -m)
case $machine in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) die "there is no image for $machine: x86_64 or aarch64" ;;
esac
target=$machine-unknown-linux-musl
out=target/image
image=${IMAGE:-localhost/probity}
need git "the image is labelled with the commit"
need jq "it writes the provenance"
builder=$(command -v buildah || command -v docker) || die "buildah or docker is needed"
metadata=$(cargo metadata --no-deps --locked --format-version 1)
version=$(jq -r '.packages[0].version' <<<"$metadata")
# Where cargo builds is the user's choice: CARGO_TARGET_DIR, or a setting of theirs.
built=$(jq -r .target_directory <<<"$metadata")
revision=$(git rev-parse HEAD)
[[ -z $(git status --porcelain --untracked-files=no) ]] || revision+=-modified
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# Builds the program, static, with nothing in it of where it was built.
build_program() {
  rustup target list --installed | grep -qx "$target" || die "rustup target add $target"
  need "${CC:-musl-gcc}" "apt-get install musl-tools, or the musl compiler of your system as CC"
  local home=${CARGO_HOME:-$HOME/.cargo}
  say "building the program for $target: this takes some minutes"
  RUSTFLAGS="--remap-path-prefix=$PWD=/probity --remap-path-prefix=$home=/cargo" \
    cargo build --release --locked --target "$target" --bin probity
  binary=$built/$target/release/probity
}

# What the program is made of. The tool is installed below target/ once.
write_sbom() {
  local tools=target/image-tools
  if ! "$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null | grep -q "$cyclonedx_version"; then
    say "installing cargo-cyclonedx $cyclonedx_version"
    cargo install --quiet --locked --debug --root "$tools" cargo-cyclonedx --version "$cyclonedx_version"
  fi
  PATH=$PWD/$tools/bin:$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 \
    --no-build-deps --target "$target" --override-filename probity.cdx
  # The tool names the package by its folder, which says nothing to anybody else.
  jq 'walk(if type == "string" then sub("path[+]file://[^#]*#"; "") else . end)' probity.cdx.json \
    >"$out/probity-$version.cdx.json"
  rm probity.cdx.json
}

with_buildah() {
  buildah build --quiet --format oci --arch "$arch" --timestamp "$SOURCE_DATE_EPOCH" --identity-label=false \
    --layers=false "${arguments[@]}" "$out/context" >/dev/null
  buildah push --quiet "$image:$version" "oci-archive:$archive:$image:$version"
}

with_docker() {
  docker buildx build --quiet --platform "linux/$arch" --provenance=false --build-arg SOURCE_DATE_EPOCH \
    --output "type=oci,dest=$archive,rewrite-timestamp=true" --output type=docker \
    "${arguments[@]}" "$out/context" >/dev/null
}

write_provenance() {
  jq -n --arg name "$image" --arg digest "${digest#sha256:}" --arg revision "$revision" \
    --arg lock "$(sha256sum Cargo.lock | cut -d' ' -f1)" --arg target "$target" --arg created "$created" \
    --arg rustc "$(rustc --version)" --arg builder "$(basename "$builder")" \
    --argjson given "$([[ -n ${PROBITY_BINARY:-} ]] && echo true || echo false)" '{
    _type: "https://in-toto.io/Statement/v1",
    subject: [{name: $name, digest: {sha256: $digest}}],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "https://probity.dev/image/v1",
        externalParameters: {target: $target, sourceDateEpoch: $created},
        internalParameters: {rustc: $rustc, builder: $builder, programWasGiven: $given},
        resolvedDependencies: [
          {uri: "git+https://probity.dev", digest: {gitCommit: $revision}},
          {uri: "file:Cargo.lock", digest: {sha256: $lock}}
        ]
      },
      runDetails: {builder: {id: "https://probity.dev/image/build.sh"}}
    }
  }' >"$out/probity-$version.provenance.json"
}

rm -rf "$out"
mkdir -p "$out/context"
binary=${PROBITY_BINARY:-}
[[ -n $binary ]] || build_program
# A program that needs a loader would start in no container that has none.
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
  die "$binary is not static: build it for $target"
fi
install -m 0755 "$binary" "$out/context/probity"
write_sbom
archive=$out/probity-$version.tar
arguments=(--file image/Containerfile --tag "$image:$version" --build-arg "VERSION=$version"
  --build-arg "REVISION=$revision" --build-arg "CREATED=$created")
"with_$(basename "$builder")"
digest=$(tar -xOf "$archive" index.json | jq -r '.manifests[0].digest')
echo "$digest" >"$out/digest"
write_provenance
rm -r "$out/context"
say "$archive, as $image:$version"
say "$digest, $(stat -c %s "$archive") bytes, $(jq '.components | length' "$out/probity-$version.cdx.json") components"
