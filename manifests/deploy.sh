#!/usr/bin/env bash
# Brings TPA onto a cluster that runs cert-manager, and waits until it admits Services.
#
# KUBECTL   how to call kubectl (default: kubectl)
# OVERLAY   what to deploy (default: manifests/base)
# REGISTRY  where the images are, such as registry.example.com/team (default: as the overlay says)
# TAG       their tag (default: dev)
set -euo pipefail

read -ra kubectl <<<"${KUBECTL:-kubectl}"
k() { "${kubectl[@]}" "$@"; }

# with_registry makes OVERLAY one that takes the images of overlay $1 from REGISTRY.
with_registry() {
  OVERLAY=$(mktemp -d)
  trap 'rm -rf "$OVERLAY"' EXIT
  cat >"$OVERLAY/kustomization.yaml" <<YAML
resources: ["$(realpath --relative-to="$(realpath "$OVERLAY")" "$1")"]
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: tpa-webhook, namespace: tpa-system}
      spec:
        template:
          spec:
            containers:
              - name: webhook
                image: "$REGISTRY/tpa-webhook:${TAG:-dev}"
                env: [{name: PROXY_IMAGE, value: "$REGISTRY/tpa-proxy:${TAG:-dev}"}]
YAML
}

k get --raw /version >/dev/null # says itself what is wrong when there is no cluster
if ! k get crd certificates.cert-manager.io issuers.cert-manager.io -o name >/dev/null; then
  echo "deploy: TPA needs cert-manager for its certificate: https://cert-manager.io/docs/installation/" >&2
  exit 1
fi
if [[ -n ${REGISTRY:-} ]]; then
  with_registry "${OVERLAY:-manifests/base}"
fi
k apply -k "${OVERLAY:-manifests/base}"
# An undeploy that was given up leaves it.
k label namespace tpa-system tpa.dev/uninstall- >/dev/null
k -n tpa-system rollout status deployment/tpa-webhook --timeout=3m

# Ready pods are not enough: until the CA is in the configuration, the API server trusts none of them.
for ((i = 0; i < 60; i++)); do
  missing=$(k get mutatingwebhookconfiguration tpa \
    -o go-template='{{range .webhooks}}{{if not .clientConfig.caBundle}}{{.name}} {{end}}{{end}}')
  [[ -n $missing ]] || exit 0
  sleep 1
done
echo "deploy: cert-manager's CA injector gave no CA to $missing" >&2
exit 1
