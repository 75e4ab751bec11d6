#!/usr/bin/env bash
# draw.sh [OUT.png] draws the dashboard with what is in bin/dashboard/data.json, by Grafana's components in Chromium.
# It needs Debian's npm and chromium.
#
# OUT.png  default: manifests/monitoring/dashboard.png
set -euo pipefail
cd "$(dirname "$0")/../.."

out=${1:-manifests/monitoring/dashboard.png}
work=bin/dashboard
mkdir -p $work/public
# Not beside the source: what looks for the project's own files would find those of 450 packages.
if ! cmp -s test/dashboard/package-lock.json $work/node_modules/.for; then
  cp test/dashboard/package*.json $work/
  npm ci --prefix $work --ignore-scripts --no-audit --no-fund --loglevel=error
  echo 'module none' >$work/node_modules/go.mod # some of them hold Go, which is none of ours
  cp test/dashboard/package-lock.json $work/node_modules/.for
fi
ln -sfn ../node_modules/@grafana/ui/dist/public $work/public/build # where the components look for icons
NODE_PATH=$work/node_modules $work/node_modules/.bin/esbuild test/dashboard/picture.jsx --bundle --minify --jsx=automatic \
  --define:process.env.NODE_ENV='"production"' --loader:.woff=dataurl --loader:.woff2=dataurl --loader:.ttf=empty --log-level=warning \
  --alias:data.json=./$work/data.json --alias:dashboard.json=./manifests/monitoring/dashboard.json --outfile=$work/picture.js
cat >$work/index.html <<'HTML'
<!doctype html>
<meta charset="utf-8">
<link rel="stylesheet" href="picture.css">
<body style="margin: 0">
  <div id="root"></div>
  <script src="picture.js"></script>
HTML

browse() {
  chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --allow-file-access-from-files \
    --enable-logging=stderr --user-data-dir="$PWD/$work/chromium" --virtual-time-budget=10000 "$@" "file://$PWD/$work/index.html" 2>$work/chromium.log
}
# The page says how tall it is once everything is drawn.
height=$(browse --dump-dom | sed -n 's/.* data-height="\([0-9]*\)".*/\1/p')
[[ -n $height ]] || { grep CONSOLE $work/chromium.log >&2; exit 1; }
browse --window-size="1400,$height" --screenshot="$out"
echo "drawn: $out, $(stat -c %s "$out") bytes"
