#!/usr/bin/env bash
# wake.sh ARG... runs bin/wake on a two-node cluster of its own, or on the one that runs already.
#
# KEEP  not empty: leave the cluster
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! bin/cluster kubectl get nodes >/dev/null 2>&1 && [[ -z ${KEEP:-} ]]; then
  trap 'bin/cluster down' EXIT
fi
test/images/deploy.sh
bin/cluster exec node1 -- bin/wake "$@"
