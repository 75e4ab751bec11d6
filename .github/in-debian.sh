#!/usr/bin/env bash
# in-debian.sh COMMAND... runs a command in this repository as `make test` wants it: on Debian 12, as root, with Go.
#
# The tests install Debian's HAProxy, nginx, containerd and PostgreSQL and bring up a Kubernetes in namespaces, so the container
# is privileged and sees the machine's own cgroups. What is worth keeping from one run to the next is in CACHE.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${CACHE:-$HOME/.cache/tpa-ci}
mkdir -p "$cache"
sudo modprobe -a overlay br_netfilter veth nf_tables # a container cannot load them
# The checkout belongs to another user than root: git, and with it `go build`, would refuse it.
docker run --rm --init --privileged --cgroupns=host \
  -v /sys/fs/cgroup:/sys/fs/cgroup:rw \
  -v "$PWD:/src" -w /src \
  -v "$cache:/root/.cache" -e GOMODCACHE=/root/.cache/go-mod \
  -e GIT_CONFIG_COUNT=1 -e GIT_CONFIG_KEY_0=safe.directory -e GIT_CONFIG_VALUE_0=/src \
  -e SOURCE_DATE_EPOCH \
  docker.io/library/golang:1.26-bookworm "$@" || status=$?
sudo chown -R "$(id -u):$(id -g)" "$cache" . # for what saves the cache, and for the next step
exit "${status:-0}"
