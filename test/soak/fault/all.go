package fault

import (
	"fmt"
	"slices"
	"strings"
)

// All returns every fault, those of TPA itself first.
func All() []Fault {
	return slices.Concat(proxyFaults(), goneFaults(), webhookFaults(), controlPlaneFaults(), nodeFaults(), targetFaults(),
		replicaFaults())
}

// Named returns the faults of a list such as "proxy-killed,node-cut", or all of "all".
func Named(list string) ([]Fault, error) {
	all := All()
	if list == "all" {
		return all, nil
	}
	var named []Fault
	for name := range strings.SplitSeq(list, ",") {
		at := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
		if at < 0 {
			names := make([]string, len(all))
			for i, f := range all {
				names[i] = f.Name
			}
			return nil, fmt.Errorf("no fault %q; there are %s", name, strings.Join(names, ", "))
		}
		named = append(named, all[at])
	}
	return named, nil
}
