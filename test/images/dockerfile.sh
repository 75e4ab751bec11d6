#!/usr/bin/env bash
# dockerfile.sh NAME OUT.tar [ARCH] builds Dockerfile.NAME and saves localhost/tpa-NAME:dev as a docker-archive. With ARCH,
# such as arm64, the image is for that architecture, whatever this machine's is, and its tag is dev-ARCH.
#
# Without a registry: the builder image is busybox with this machine's Go toolchain mounted, the final image starts from
# scratch, and modules come from this machine's cache. BUILDER and BASE name other images; VERSION is written into the image.
set -euo pipefail

name=$1 out=$2 arch=${3:-} image=localhost/tpa-$1:dev${3:+-$3}
cd "$(dirname "$0")/../.."
test/images/packages.sh /usr/bin/buildah=buildah /bin/busybox=busybox-static

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tpa-images
log=$cache/$name${arch:+-$arch}.log
mkdir -p "$cache" "$(dirname "$out")"
exec 9>"$cache/lock"
flock 9
b() { nice buildah --root "$cache/storage" --runroot "$cache/run" --storage-driver overlay "$@"; }
args=() # of this build

if [[ -z ${BUILDER:-} ]]; then
  BUILDER=localhost/tpa-builder
  go mod download
  container=$(b from scratch)
  trap 'b rm "$container" >/dev/null 2>&1 || true' EXIT
  b copy -q "$container" /bin/busybox /bin/sh >/dev/null
  b config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local --env GOPROXY=off \
    --env TMPDIR=/root/.cache --env HOME=/root "$container"
  b commit -q "$container" "$BUILDER" >/dev/null
  args+=(-v "$(go env GOROOT):/usr/local/go:ro" --pull-never)
fi
[[ -z $arch ]] || args+=(--platform "linux/$arch")
args+=(--build-arg "BUILDPLATFORM=linux/$(go env GOHOSTARCH)") # which this buildah does not know by itself
args+=(-v "$(go env GOMODCACHE):/go/pkg/mod" -v "$(go env GOCACHE):/root/.cache/go-build")

echo "building $image"
if ! b bud --isolation chroot "${args[@]}" --build-arg "BUILDER=$BUILDER" \
  --build-arg "BASE=${BASE:-scratch}" --build-arg "VERSION=${VERSION:-dev}" \
  ${SOURCE_DATE_EPOCH:+--timestamp "$SOURCE_DATE_EPOCH"} --build-arg "REVISION=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
  -f "Dockerfile.$name" -t "$image" . >"$log" 2>&1; then
  tail -30 "$log" >&2
  exit 1
fi
rm -f "$out"
b push -q "$image" "docker-archive:$out.partial:$image"
mv "$out.partial" "$out"
b rmi --prune >/dev/null 2>&1 || true
