#!/usr/bin/env bash
# packages.sh FILE=PACKAGE... installs each Debian package whose file is missing, and starts none of their services.
set -euo pipefail

missing=()
for pair in "$@"; do
  [[ -e ${pair%%=*} ]] || missing+=("${pair#*=}")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null || ((EUID != 0)); then
  echo "missing: ${missing[*]}: install with your package manager (on Debian, as root, this is done for you)" >&2
  exit 1
fi
echo "installing ${missing[*]}"
policy=/usr/sbin/policy-rc.d # what Debian asks before it starts a service
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
log=$(mktemp)
get() { DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
install() { get install -y --no-install-recommends "${missing[@]}"; }
install || { get update && install; } || { tail -20 "$log" >&2; exit 1; }
rm -f "$log"
