#!/usr/bin/env bash
# Takes TPA off a cluster: first every managed Service is awake and its own again, then TPA goes.
#
# KUBECTL  how to call kubectl (default: kubectl)
# OVERLAY  what was deployed (default: manifests/base)
# WAIT     seconds to wait for the Services (default: 600)
set -euo pipefail
shopt -s inherit_errexit # a failed look is not an empty one

read -ra kubectl <<<"${KUBECTL:-kubectl}"
overlay=${OVERLAY:-manifests/base}
wait=${WAIT:-600}

k() { "${kubectl[@]}" "$@"; }

# remaining lists what TPA still holds in users' namespaces.
remaining() {
  k get services -A -l tpa.dev/managed=true -o name
  k get deployments.apps -A -l app.kubernetes.io/managed-by=tpa -o name
}

show() {
  local columns=NAMESPACE:.metadata.namespace,KIND:.kind,NAME:.metadata.name
  k get services -A -l tpa.dev/managed=true -o custom-columns=$columns --no-headers
  k get deployments.apps -A -l app.kubernetes.io/managed-by=tpa -o custom-columns=$columns --no-headers
}

if [[ -n $(k get namespace tpa-system --ignore-not-found -o name) ]]; then
  k label namespace tpa-system tpa.dev/uninstall=true --overwrite >/dev/null
  start=$SECONDS last=-1
  while true; do
    left=$(remaining)
    [[ -n $left ]] || break
    count=$(wc -l <<<"$left") elapsed=$((SECONDS - start))
    if ((elapsed >= wait)); then
      {
        echo "undeploy: after ${elapsed}s TPA still holds:"
        show
        echo "Nothing was removed. What hinders it: ${kubectl[*]} -n tpa-system logs deployment/tpa-webhook"
        echo "Try again when that is mended, or keep TPA: ${kubectl[*]} label namespace tpa-system tpa.dev/uninstall-"
      } >&2
      exit 1
    fi
    if ((count != last || elapsed % 10 == 0)); then
      echo "restoring: $count Services and proxies left (${elapsed}s)"
      last=$count
    fi
    sleep 1
  done
fi

# First nothing may call a webhook that is about to go.
k delete mutatingwebhookconfiguration tpa --ignore-not-found
k delete -k "$overlay" --ignore-not-found
