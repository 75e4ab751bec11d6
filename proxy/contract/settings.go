package contract

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The defaults and ranges of the settings.
const (
	DefaultIdleTimeout   = 10 * time.Minute
	MinIdleTimeout       = time.Second
	MaxIdleTimeout       = 30 * 24 * time.Hour
	DefaultWakeTimeout   = 2 * time.Minute
	MinWakeTimeout       = time.Second
	MaxWakeTimeout       = time.Hour
	DefaultMaxHeld       = 1024
	MaxMaxHeld           = 100_000
	MaxWakeReplicas      = 10_000
	DefaultProxyReplicas = 2
	MaxProxyReplicas     = 100
)

// ValueError is one bad annotation. Its text says which, what it holds and what is accepted.
type ValueError struct{ Key, Value, Accepted string }

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s: %q is not accepted: write %s", e.Key, e.Value, e.Accepted)
}

// Settings is what a managed Service asks for, every default applied.
type Settings struct {
	// Targets sleep and wake together; at least one, none twice.
	Targets []Target
	// IdleTimeout is how long the Service is unused before its targets sleep, 1s-720h.
	IdleTimeout time.Duration
	// IdleWhenNoTraffic has open connections that move no byte not count as use. They are closed when the target sleeps.
	IdleWhenNoTraffic bool
	// WakeOnData waits for a connection's first byte before it wakes the target.
	WakeOnData bool
	// WakeTimeout is how long a connection is held, 1s-1h.
	WakeTimeout time.Duration
	// WakeReplicas is the number of replicas to wake to, 1-10000; 0 means what the target had.
	WakeReplicas int32
	// MaxHeld is how many connections are held at once for the Service, 1-100000.
	MaxHeld int
	// ProxyProtocol is the version of the PROXY header towards the backend: 1, 2, or 0 for none.
	ProxyProtocol int
	// IgnoreSources are the client networks that neither wake nor count.
	IgnoreSources []netip.Prefix
	// PassivePorts are the Service ports, by number or name, that neither wake nor count.
	PassivePorts []string
	// AllowSourceIPLoss accepts an externalTrafficPolicy: Local Service.
	AllowSourceIPLoss bool
	// Mode is what becomes of targets that nobody uses.
	Mode Mode
	// SleepRequested has targets that were last used before it sleep as soon as nothing uses them; the zero time: nobody asks
	// for that.
	SleepRequested time.Time
}

// Mode is what becomes of a target that nobody uses. The greater one is the more careful: of several Services' it counts.
type Mode int

const (
	ModeSleep   Mode = iota // it sleeps
	ModeObserve             // it would sleep, and TPA does everything but the sleep itself
	ModePaused              // it stays awake, and is woken if it is asleep
)

// modes are the values of ModeKey, in the order of Mode.
var modes = []string{"sleep", "observe", "paused"}

// String is the value of ModeKey.
func (m Mode) String() string { return modes[m] }

// Paused is the value of ModeKey that pauses a Service which had one before, empty if it had none.
func Paused(before string) string {
	if value := ModePaused.String() + "," + before; Before(value) != "" {
		return value
	}
	return ModePaused.String()
}

// Before is the value of ModeKey that a Service had before it was Paused, and is to have again; empty if it had none.
func Before(value string) string {
	before, ok := strings.CutPrefix(value, ModePaused.String()+",")
	if !ok || !slices.Contains(modes[:ModePaused], before) {
		return ""
	}
	return before
}

// Passive reports whether a Service port neither wakes nor counts.
func (s Settings) Passive(port int32, name string) bool {
	return slices.Contains(s.PassivePorts, strconv.Itoa(int(port))) || name != "" && slices.Contains(s.PassivePorts, name)
}

// Defaults are the settings of a namespace. The zero value means TPA's own defaults.
type Defaults struct {
	// IdleTimeout applies to Services that do not set their own; 0 means DefaultIdleTimeout.
	IdleTimeout time.Duration
	// ProxyReplicas is the number of proxy pods; 0 means DefaultProxyReplicas.
	ProxyReplicas int32
	// Mode applies to Services that do not set their own.
	Mode Mode
}

// ParseDefaults reads the annotations of a Namespace. A bad value is named in the error and left out of the result, but that
// for a bad mode, which nobody refuses there, nothing sleeps: ModeObserve.
func ParseDefaults(annotations map[string]string) (Defaults, error) {
	var d Defaults
	r := reader{annotations: annotations}
	d.IdleTimeout = r.duration(IdleTimeoutKey, 0, MinIdleTimeout, MaxIdleTimeout)
	d.ProxyReplicas = int32(r.integer(ProxyReplicasKey, 0, MaxProxyReplicas))
	d.Mode = r.mode(ModeSleep)
	return d, errors.Join(r.errs...)
}

// Parse reads the annotations of a Service. The error joins a ValueError for every bad value and every unknown key
// under Prefix. Keys outside Prefix and the keys that TPA itself writes are not looked at.
func Parse(annotations map[string]string, defaults Defaults) (Settings, error) {
	r := reader{annotations: annotations}
	if defaults.IdleTimeout == 0 {
		defaults.IdleTimeout = DefaultIdleTimeout
	}
	s := Settings{
		Targets:           r.targets(),
		IdleTimeout:       r.duration(IdleTimeoutKey, defaults.IdleTimeout, MinIdleTimeout, MaxIdleTimeout),
		IdleWhenNoTraffic: r.choice(IdleWhenKey, "no-connections", "no-traffic") == 1,
		WakeTimeout:       r.duration(WakeTimeoutKey, DefaultWakeTimeout, MinWakeTimeout, MaxWakeTimeout),
		WakeReplicas:      int32(r.integer(WakeReplicasKey, 0, MaxWakeReplicas)),
		MaxHeld:           r.integer(MaxHeldKey, DefaultMaxHeld, MaxMaxHeld),
		WakeOnData:        r.choice(WakeOnKey, "connect", "data") == 1,
		ProxyProtocol:     r.choice(ProxyProtocolKey, "off", "v1", "v2"),
		IgnoreSources:     r.prefixes(IgnoreSourcesKey),
		PassivePorts:      r.list(PassivePortsKey),
		AllowSourceIPLoss: r.choice(AllowSourceIPLossKey, "false", "true") == 1,
		Mode:              r.mode(defaults.Mode),
		SleepRequested:    r.time(SleepRequestedKey),
	}
	r.unknown()
	return s, errors.Join(r.errs...)
}

// userKeys are the keys that people may write on a Service.
var userKeys = []string{
	TargetKey, IdleTimeoutKey, IdleWhenKey, WakeOnKey, WakeTimeoutKey, WakeReplicasKey, MaxHeldKey, ProxyProtocolKey,
	IgnoreSourcesKey, PassivePortsKey, AllowSourceIPLossKey, ModeKey, SleepRequestedKey, BypassKey,
}

// UserKeys returns the keys that people may write on a Service.
func UserKeys() []string { return slices.Clone(userKeys) }

// reader reads annotations and collects what is wrong with them.
type reader struct {
	annotations map[string]string
	errs        []error
}

func (r *reader) fail(key, accepted string) {
	r.errs = append(r.errs, &ValueError{Key: key, Value: r.annotations[key], Accepted: accepted})
}

func (r *reader) duration(key string, unset, low, high time.Duration) time.Duration {
	v, ok := r.annotations[key]
	if !ok {
		return unset
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high {
		r.fail(key, fmt.Sprintf("a duration from %s to %s, such as 90s, 10m or 1h30m", short(low), short(high)))
		return unset
	}
	return d
}

// short is a duration as people write it: 720h, not 720h0m0s.
func short(d time.Duration) string {
	return strings.Replace(strings.Replace(d.String(), "m0s", "m", 1), "h0m", "h", 1)
}

func (r *reader) integer(key string, unset, high int) int {
	v, ok := r.annotations[key]
	if !ok {
		return unset
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > high {
		r.fail(key, fmt.Sprintf("a whole number from 1 to %d", high))
		return unset
	}
	return n
}

// choice returns the index of the value among the choices; the first is the default.
func (r *reader) choice(key string, choices ...string) int {
	v, ok := r.annotations[key]
	if !ok {
		return 0
	}
	i := slices.Index(choices, v)
	if i < 0 {
		r.fail(key, strings.Join(choices, " or "))
		return 0
	}
	return i
}

// mode returns the Mode; if there is none another, and if it is bad at least ModeObserve: whoever wrote it meant something
// else than the default.
func (r *reader) mode(unset Mode) Mode {
	v, ok := r.annotations[ModeKey]
	if !ok {
		return unset
	}
	if Before(v) != "" {
		return ModePaused
	}
	i := slices.Index(modes, v)
	if i < 0 {
		r.fail(ModeKey, strings.Join(modes, " or "))
		return max(unset, ModeObserve)
	}
	return Mode(i)
}

// time returns a time; the zero one if there is none.
func (r *reader) time(key string) time.Time {
	v, ok := r.annotations[key]
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil || t.IsZero() {
		r.fail(key, "a time as RFC 3339 has it, such as 2026-01-31T17:00:00Z")
		return time.Time{}
	}
	return t.UTC()
}

// list returns the comma-separated items without surrounding space.
func (r *reader) list(key string) []string {
	v, ok := r.annotations[key]
	if !ok {
		return nil
	}
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item == "" {
			r.fail(key, "a comma-separated list without empty items")
			return nil
		}
		items = append(items, item)
	}
	return items
}

func (r *reader) prefixes(key string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, item := range r.list(key) {
		p, err := netip.ParsePrefix(item)
		if addr, err2 := netip.ParseAddr(item); err != nil && err2 == nil && addr.Zone() == "" {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			r.fail(key, "networks or addresses, such as 10.0.0.0/8,192.0.2.7,2001:db8::/32")
			return nil
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96) // clients are compared unmapped
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes
}

func (r *reader) targets() []Target {
	if _, ok := r.annotations[TargetKey]; !ok {
		r.fail(TargetKey, targetAccepted)
		return nil
	}
	var targets []Target
	for _, item := range r.list(TargetKey) {
		t, err := ParseTarget(item)
		if err != nil {
			r.fail(TargetKey, targetAccepted+" ("+err.Error()+")")
			return nil
		}
		if !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	return targets
}

// unknown refuses keys that nobody reads: a typing error must not silently mean the default.
func (r *reader) unknown() {
	var bad []string
	for key := range r.annotations {
		if strings.HasPrefix(key, Prefix) && key != PhaseKey && key != PortsKey && key != OriginalKey &&
			!slices.Contains(userKeys, key) {
			bad = append(bad, key)
		}
	}
	slices.Sort(bad)
	for _, key := range bad {
		r.errs = append(r.errs, &UnknownKeyError{Key: key})
	}
}

// UnknownKeyError is an annotation under Prefix that TPA does not know.
type UnknownKeyError struct{ Key string }

func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("%s is not an annotation of TPA: write one of %s", e.Key, strings.Join(userKeys, ", "))
}
