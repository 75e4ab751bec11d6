#!/usr/bin/env bash
# deploy.sh brings all images and TPA onto a two-node cluster, starting one if there is none.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin/cluster up --nodes 2
again=$(bin/cluster kubectl -n tpa-system get deployment tpa-webhook --ignore-not-found -o name)
bin/cluster load bin/images/*.tar
make deploy KUBECTL="bin/cluster kubectl" OVERLAY=manifests/overlays/local
if [[ -n $again ]]; then # its pods still run the images of last time
  bin/cluster kubectl -n tpa-system rollout restart deployment/tpa-webhook
  bin/cluster kubectl -n tpa-system rollout status deployment/tpa-webhook --timeout=3m
fi
