#!/usr/bin/env bash
# e2e.sh runs the end-to-end tests on a two-node cluster of its own, or on the one that runs already.
#
# KEEP             not empty: leave the cluster
# RUN              only the tests that match
# SUITE            which tests: a folder below test/ (default: e2e)
# UNDEPLOY_ROUNDS  how often to bring TPA onto the cluster and take it off under load
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=${SUITE:-e2e} run=${RUN:-.}
tests=$PWD/bin/${suite##*/}.test
go test -c -tags e2e -o "$tests" "./test/$suite"
if [[ $suite == e2e && TestUpgrade =~ ${run%%/*} ]]; then
  PREVIOUS=$(test/images/previous.sh)
  export PREVIOUS # for that test
fi
if ! bin/cluster kubectl get nodes >/dev/null 2>&1 && [[ -z ${KEEP:-} ]]; then
  trap 'bin/cluster down' EXIT
fi
test/images/deploy.sh
[[ -z ${PREVIOUS:-} ]] || bin/cluster load "$PREVIOUS"/*.tar
if [[ $suite == e2e && -z ${RUN:-} ]]; then # before the tests that take TPA away
  test/images/packages.sh /usr/sbin/conntrack=conntrack
  # On a busy machine there are fewer rounds. Losses are what this is about.
  bin/cluster exec node1 -- bin/soak --for=90s --rounds=50
fi
# A test expects to be in its folder; a subshell, because the trap is in this one.
cluster=$PWD/bin/cluster log=$tests.log
(cd "test/$suite" && "$cluster" exec node1 -- "$tests" -test.timeout 45m -test.v -test.run "$run") 2>&1 | tee "$log" || {
  # Above are thousands of lines of logs. This is what the tests themselves said.
  echo "$suite: failed. What the tests said (all: $log):"
  awk '
    /^=== / {split($3, test, "/"); on = 0}
    /^ *--- / {on = 0}
    /^ +[a-z0-9_]+_test\.go:[0-9]+: / {on = !/: namespace .*:$/} # which the logs follow
    /^panic: / {on = 1}
    on {said[test[1]] = said[test[1]] substr($0, 1, 400) "\n"}
    /^--- FAIL/ {print; printf "%s", said[$3]}' "$log"
  exit 1
}
