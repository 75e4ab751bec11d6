#!/usr/bin/env bash
# Builds into DIST what a release consists of, from the last commit, whatever else lies in the folder:
#
#   tpa-webhook_VERSION_ARCH.tar, tpa-proxy_...         images, as docker-archives
#   kubectl-tpa_VERSION_OS_ARCH.tar.gz                  the plugin
#   install.yaml, tpa-VERSION.tgz                       manifests in one file; the Helm chart
#   PROGRAM_VERSION.cdx.json                            what each program is made of (CycloneDX)
#   SHA256SUMS
#
# All of it is the same bytes each time, with the same Go and buildah (make release-check).
#
# VERSION    such as v0.1.0; a tag of that name must be the last commit, if there is one
# REGISTRY   where install.yaml and the chart take the images from (default: as the manifests say)
# DIST       default: dist
# ONLY       some of: binaries images chart sbom (default: all)
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

VERSION=${VERSION:-} into=$(realpath -m "${DIST:-dist}") only=${ONLY:-binaries images chart sbom}
platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
programs=(webhook proxy kubectl-tpa)
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

fail() { echo "release: $*" >&2; exit 1; }
wants() { [[ " $only " == *" $1 "* ]]; }

[[ $VERSION =~ ^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
  fail "VERSION=$VERSION is no version: write it as v0.1.0"
commit=$(git rev-parse HEAD)
tagged=$(git rev-parse -q --verify "refs/tags/$VERSION^{commit}" || true)
[[ -z $tagged || $tagged == "$commit" ]] || fail "$VERSION is another commit: check it out, or choose another version"
[[ ! -e $into || -z $(ls -A "$into") ]] || fail "$into is not empty"
SOURCE_DATE_EPOCH=$(git show -s --format=%ct "$commit")
export VERSION SOURCE_DATE_EPOCH CGO_ENABLED=0 TZ=UTC LC_ALL=C

# A clone of that commit, with the tag: Go writes both into what it builds.
work=$(mktemp -d)
dist=$work/dist # all of a release or nothing
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
git clone -q --no-hardlinks . "$work/src"
cd "$work/src"
git checkout -q --detach "$commit"
[[ -n $tagged ]] || git tag "$VERSION"

missing=()
need() { [[ -e $1 ]] || missing+=("$1"); }
target() { make -n "$1" >/dev/null 2>&1 || missing+=("make $1"); }
for program in "${programs[@]}"; do need "cmd/$program"; done
if wants images; then grep -qF 'OUT.tar [ARCH]' test/images/dockerfile.sh || missing+=("architectures in test/images/dockerfile.sh"); fi
if wants chart; then need manifests/chart/Chart.yaml; target install.yaml; target bin/helm4/helm; fi
((${#missing[@]} == 0)) || fail "this commit lacks $(printf '%s, ' "${missing[@]}" | sed 's/, $//')"
mkdir "$dist"

# pack ARCHIVE FOLDER FILE...: the same bytes for the same files.
pack() {
  tar -C "$2" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=u,go-w \
    -cf - "${@:3}" | gzip -9n >"$1"
}

if wants binaries; then
  for platform in "${platforms[@]}"; do
    os=${platform%/*} arch=${platform#*/} program=kubectl-tpa
    [[ $os != windows ]] || program+=.exe
    echo "building kubectl-tpa for $platform"
    mkdir "$work/out"
    GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=true -ldflags '-s -w' -o "$work/out/$program" ./cmd/kubectl-tpa
    [[ $(go version -m "$work/out/$program") == *$'\tmod\ttpa.dev/tpa\t'"$VERSION"$'\t'* ]] ||
      fail "$program for $platform does not say that it is $VERSION"
    cp LICENSE "$work/out/"
    pack "$dist/kubectl-tpa_${VERSION}_${os}_$arch.tar.gz" "$work/out" LICENSE "$program"
    rm -r "$work/out"
  done
fi

if wants images; then
  for name in webhook proxy; do
    for arch in amd64 arm64; do
      test/images/dockerfile.sh "$name" "$dist/tpa-${name}_${VERSION}_$arch.tar" "$arch"
    done
  done
fi

if wants sbom; then
  for program in "${programs[@]}"; do
    echo "listing what $program is made of"
    go run -trimpath "$sbom" app -json -licenses -std -noserial -notimestamp -main "cmd/$program" -output "$dist/${program}_$VERSION.cdx.json" . 2>"$work/sbom.log" || {
      cat "$work/sbom.log" >&2
      fail "no bill of materials of $program"
    }
  done
fi

# Last: it changes a file that Go would call a modification of the commit.
if wants chart; then
  echo "writing install.yaml and the chart"
  make install.yaml >/dev/null
  cp bin/install.yaml "$dist/"
  image="tpa.dev/(tpa-webhook|tpa-proxy):v[0-9][^ \"]*"
  [[ $(grep -cE "$image" "$dist/install.yaml") == 2 ]] || fail "install.yaml does not name both images"
  sed -Ei "s#$image#${REGISTRY:-tpa.dev}/\\1:$VERSION#" "$dist/install.yaml"
  if [[ -n ${REGISTRY:-} ]]; then
    grep -qx '  registry: tpa.dev' manifests/chart/values.yaml || fail "the chart does not name its registry"
    sed -i "s#^  registry: tpa\.dev\$#  registry: $REGISTRY#" manifests/chart/values.yaml
  fi
  make bin/helm4/helm >/dev/null
  # The chart's images have the tag v and its appVersion.
  bin/helm4/helm package manifests/chart --version "${VERSION#v}" --app-version "${VERSION#v}" -d "$work/chart" >/dev/null
  # As Helm made it, but without the time of day.
  tar -C "$work/chart" -xzf "$work/chart/tpa-${VERSION#v}.tgz"
  pack "$dist/tpa-${VERSION#v}.tgz" "$work/chart" tpa
fi

cd "$dist"
sha256sum -- * >"$work/sums"
mv "$work/sums" SHA256SUMS
mkdir -p "$into"
cp -- * "$into/"
echo "release: $(wc -l <SHA256SUMS) files and SHA256SUMS in $into"
