#!/usr/bin/env bash
# previous.sh builds the version of TPA before this one, for the test of an upgrade, and prints its folder,
# bin/previous/COMMIT: the Helm chart, and the images localhost/tpa-webhook:COMMIT and localhost/tpa-proxy:COMMIT. What is
# there already is not built again.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Until there is a release: main as it was when this test came.
first=9249f083300964a3beb6ff85f0b55a055da36eba

# The last release before this commit.
version=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null) || version=$first
if ! commit=$(git rev-parse --quiet --verify "$version^{commit}"); then
  commit=$(git rev-parse HEAD)
  echo "previous: this clone has no commit $version: the upgrade is from HEAD to itself. 'git fetch --unshallow --tags', or" \
    "'git fetch --tags' if the clone is not shallow, brings the history" >&2
fi
tag=${commit:0:12} dir=$PWD/bin/previous/${commit:0:12}
if [[ ! -e $dir ]]; then
  echo "building the previous version, $version" >&2
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp" "$dir.partial"' EXIT
  rm -rf "$dir.partial"
  mkdir -p "$tmp/source" "$dir.partial"
  git archive "$commit" | tar -x -C "$tmp/source"
  for name in webhook proxy; do
    CGO_ENABLED=0 nice go build -C "$tmp/source" -trimpath -ldflags '-s -w' -o "$tmp/$name" "./cmd/$name"
    bin/cluster image --name "localhost/tpa-$name:$tag" --user 65532 --entrypoint "/$name" \
      --out "$dir.partial/tpa-$name.tar" "$tmp/$name:/$name" >&2
  done
  mv "$tmp/source/manifests/chart" "$dir.partial/chart"
  mv "$dir.partial" "$dir"
fi
echo "$dir"
