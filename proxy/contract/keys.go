// Package contract is what people write on a Service and what TPA writes back: the annotations, their syntax and
// ranges, and the names of the objects that the webhook, the controller, the proxy and the command line agree on.
//
// It is the only place that knows the prefix or parses an annotation:
//
//	settings, err := contract.Parse(service.Annotations, contract.Defaults{})
//	if err != nil {
//		return err // names each key, its value and what is accepted
//	}
//	settings.IdleTimeout // 10m unless the Service or its namespace says otherwise
//
// It reads no object and talks to no server; whether a target exists is not its business.
package contract

// Prefix starts every label, annotation and selector key of TPA.
const Prefix = "tpa.dev/"

// What people write.
const (
	// InjectLabel on a Namespace, with the value InjectEnabled, opts the namespace in.
	InjectLabel   = Prefix + "inject"
	InjectEnabled = "enabled"

	// TargetKey names the workload, or several separated by commas, that sleeps behind the Service. Required.
	TargetKey = Prefix + "target"
	// IdleTimeoutKey is how long a Service is unused before its target sleeps; also a namespace annotation.
	IdleTimeoutKey = Prefix + "idle-timeout"
	// IdleWhenKey says what counts as use.
	IdleWhenKey = Prefix + "idle-when"
	// WakeOnKey says what wakes the target.
	WakeOnKey = Prefix + "wake-on"
	// WakeTimeoutKey is how long a connection is held for its target.
	WakeTimeoutKey = Prefix + "wake-timeout"
	// WakeReplicasKey is the number of replicas to wake to.
	WakeReplicasKey = Prefix + "wake-replicas"
	// MaxHeldKey is how many connections are held at once for the Service.
	MaxHeldKey = Prefix + "max-held"
	// ProxyProtocolKey asks for a PROXY protocol header towards the backend.
	ProxyProtocolKey = Prefix + "proxy-protocol"
	// IgnoreSourcesKey lists the client networks that neither wake nor count.
	IgnoreSourcesKey = Prefix + "ignore-sources"
	// PassivePortsKey lists the Service ports that neither wake nor count.
	PassivePortsKey = Prefix + "passive-ports"
	// AllowSourceIPLossKey accepts that backends see the proxy's address on an externalTrafficPolicy: Local Service.
	AllowSourceIPLossKey = Prefix + "allow-source-ip-loss"
	// ModeKey is a Mode; also a namespace annotation. Of several Services with one target the most careful counts: paused,
	// then observe. On a Service it may say after paused, as "paused,observe" does, what was there before and comes again.
	ModeKey = Prefix + "mode"
	// SleepRequestedKey is a time, as RFC 3339 has it: a target that was last used before then sleeps as soon as nothing uses
	// it, without waiting for IdleTimeoutKey. A later use makes the request void.
	SleepRequestedKey = Prefix + "sleep-requested"
	// BypassKey on an unmanaged Service says that its direct connections to a target need not keep it awake.
	BypassKey = Prefix + "bypass"
	// ProxyReplicasKey is a namespace annotation: the replicas of the namespace's proxy.
	ProxyReplicasKey = Prefix + "proxy-replicas"
)

// What TPA writes. Only TPA's own ServiceAccount may change PhaseKey and PortsKey.
const (
	// ManagedLabel marks a managed Service, with the value ManagedTrue.
	ManagedLabel = Prefix + "managed"
	ManagedTrue  = "true"

	// PhaseKey holds a Phase.
	PhaseKey = Prefix + "phase"
	// PortsKey holds the allocated Ports.
	PortsKey = Prefix + "ports"
	// OriginalKey holds the Original.
	OriginalKey = Prefix + "original"

	// SelectorKey is the one key of a rewritten selector; every proxy pod carries it as a label with the value
	// SelectorValue. No Service of a user may use it.
	SelectorKey   = Prefix + "proxy"
	SelectorValue = ProxyName

	// PendingTargetPort is the targetPort of a port that has no allocation yet. No container port of the proxy has
	// this name, so that connections are refused and never misrouted.
	PendingTargetPort = "tpa-pending"

	// ListeningKey on a proxy pod's Lease holds its Listening.
	ListeningKey = Prefix + "listening"
	// StateKey on a target's Lease holds the target's sleep state, see package sleep. TargetKey on it names the target.
	StateKey = Prefix + "state"
	// HistoryKey on a target's Lease holds its History, UsageKey on a proxy pod's Lease that proxy's Usage.
	HistoryKey = Prefix + "history"
	UsageKey   = Prefix + "usage"

	// LeaseLabel on every Lease of TPA in a user's namespace says what it is about.
	LeaseLabel  = Prefix + "lease"
	LeaseProxy  = "proxy"  // one proxy pod: what it listens on
	LeaseTarget = "target" // one target: its sleep state and claims
	// LeaseDefaults marks the one Lease ProxyName, whose annotations are the Namespace's own IdleTimeoutKey and ModeKey,
	// brought to where a proxy may read them.
	LeaseDefaults = "defaults"

	// UninstallLabel on TPA's own Namespace, with the value UninstallTrue or the UID of TPA's own ServiceAccount, restores
	// every managed Service and lets no new one in. The UID is of one installation: the next one, into a Namespace that was
	// left with its label, takes no notice.
	UninstallLabel = Prefix + "uninstall"
	UninstallTrue  = "true"
)

// Phase is the step of a Service's life with TPA; an unmanaged Service has none.
type Phase string

const (
	// Pending: managed, the live spec is still the user's.
	Pending Phase = "Pending"
	// Active: the live spec selects the proxy.
	Active Phase = "Active"
	// Restoring: opted out; the live spec selects the proxy until the target is awake again.
	Restoring Phase = "Restoring"
)

// Rewritten reports whether a Service in this phase selects the proxy.
func (p Phase) Rewritten() bool { return p == Active || p == Restoring }
