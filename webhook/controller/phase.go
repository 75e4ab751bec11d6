package controller

import "tpa.dev/tpa/proxy/contract"

// facts are what decides about one Service.
type facts struct {
	Phase contract.Phase
	// Wanted: it names a target in a namespace that is opted in.
	Wanted bool
	// Served: the proxies listen for it, and have been there for long enough.
	Served bool
	// Deserted: there has been no proxy for too long.
	Deserted bool
}

// nextPhase is the phase that the Service should be in, its own if nothing is to be changed; empty: unmanaged. covered
// says whether the user's own selector would lead to a ready backend, or never will; it wakes targets, so it is only
// asked where the answer counts.
//
//	Pending  ──served──▶ Active ──not wanted──▶ Restoring ──covered──▶ unmanaged
//	   ▲                 │    ▲                     │
//	   └─deserted,covered┘    └───────wanted────────┘
func nextPhase(f facts, covered func() bool) contract.Phase {
	switch f.Phase {
	case contract.Pending:
		switch {
		case !f.Wanted:
			return "" // the spec is the user's
		case f.Served && !f.Deserted:
			return contract.Active
		}
	case contract.Active:
		switch {
		case !f.Wanted:
			return contract.Restoring
		case f.Deserted && covered():
			return contract.Pending
		}
	case contract.Restoring:
		switch {
		case f.Wanted:
			return contract.Active
		case covered():
			return ""
		}
	}
	return f.Phase
}
