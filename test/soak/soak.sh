#!/usr/bin/env bash
# soak.sh [FLAG]... runs the soak on a two-node cluster of its own, or on the one that runs already, with the soak's flags.
#
# KEEP  not empty: leave the cluster
set -euo pipefail
cd "$(dirname "$0")/../.."

test/images/packages.sh /usr/sbin/conntrack=conntrack
if ! bin/cluster kubectl get nodes >/dev/null 2>&1 && [[ -z ${KEEP:-} ]]; then
  trap 'bin/cluster down >/dev/null' EXIT # the soak's last line is the last
fi
test/images/deploy.sh
bin/cluster exec node1 -- bin/soak "$@"
