#!/usr/bin/env bash
# soak.sh [FLAG]... runs the soak on a two-node cluster of its own, or on the one that runs already, with the soak's flags.
#
# KEEP    not empty: leave the cluster
# AROUND  a command of the first node that runs the soak, which is its last arguments
set -euo pipefail
cd "$(dirname "$0")/../.."

test/images/packages.sh /usr/sbin/conntrack=conntrack
if ! bin/cluster kubectl get nodes >/dev/null 2>&1 && [[ -z ${KEEP:-} ]]; then
  trap 'bin/cluster down >/dev/null' EXIT # the soak's last line is the last
fi
test/images/deploy.sh
# Long enough for what the soak does: connections that do not pass a proxy last for 6 s at most, and Services step aside
# within two minutes on a busy machine. The last flag counts.
bin/cluster kubectl -n tpa-system patch deployment tpa-webhook --type=json --patch '[
  {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--settle-time=10s"},
  {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--proxy-drain=3m"}]'
bin/cluster kubectl -n tpa-system rollout status deployment/tpa-webhook --timeout=3m
bin/cluster exec node1 -- ${AROUND:-} bin/soak "$@"
