package front

import (
	"context"
	"net/netip"
	"time"

	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/tcp"
)

// Defaults of Settings.
const (
	DefaultWakeTimeout = 2 * time.Minute
	DefaultMaxHeld     = 1024
)

// passiveTimeout is how long a connection that may not wake the target is kept waiting for a backend.
const passiveTimeout = 3 * time.Second

// Target is what a connection needs of the workload behind a Service. All methods may be called at once by many.
type Target interface {
	// Acquire counts a client's connection as use of the target. It returns nil at once, without I/O, while this proxy holds
	// the claim; otherwise it first wins the claim and wakes the target, which may take until ctx ends. It fails with
	// ErrRetired if the Service has another Target by now.
	Acquire(ctx context.Context, client Client) error
	// TryAcquire is Acquire without waiting: it reports whether the claim is held now, and counts if so.
	TryAcquire() bool
	// Release ends one successful Acquire or TryAcquire, whose connection was last used at a time: now at the latest.
	Release(used time.Time)
	// Park is Release for a connection that stays open, moves no byte, and may come back. If the target leaves Awake before it
	// has, dozed is called, once or more, and not by Park: the connection is to be ended.
	Park(used time.Time, dozed func()) Parked
	// Awake reports whether the target is believed awake. Connections that neither wake nor count are refused if not.
	Awake() bool
}

// Client is who has connected.
type Client struct {
	// Addr is the client's address and port, as the proxy sees them.
	Addr netip.AddrPort
	// Port is the Service's port that was dialed, as Port.Number has it.
	Port int32
}

// Parked is the place of a connection that its Target does not count. It ends by a return or by Leave. All methods may be
// called at once by many.
type Parked interface {
	// TryReturn counts the connection again if the claim is held now, and reports whether it is.
	TryReturn() bool
	// Return counts the connection again. It returns nil at once while this proxy holds the claim; otherwise it first wins
	// the claim, which may take until ctx ends. It fails with ErrDozed if the target has left Awake since Park; it never wakes
	// the target. It fails with ErrRetired if the Service has another Target by now. After any failure the connection may
	// only Leave.
	Return(ctx context.Context, client netip.AddrPort) error
	// Leave gives the place up. It may be repeated.
	Leave()
}

// Config is what a Service is made of.
type Config struct {
	// Name appears in errors, as in "shop/web".
	Name string
	// Target is what connections acquire unless Settings say otherwise. Required.
	Target Target
	// Loops are what connections belong to. Required; they must outlast the Service.
	Loops *tcp.Loops
	// Budget bounds the connections held by all Services together; nil for no bound.
	Budget *hold.Budget
	// Connections bounds the connections of all Services together, held or relayed; nil for no bound. A relayed one takes
	// two descriptors.
	Connections *hold.Budget
	// OnError, if set, is called for each error that no caller gets to see: failed accepts, wakes and dials. It must
	// not block. A Service under attack calls it often.
	OnError func(error)
	// OnHold, if set, is called when a connection begins to be held while no other is; Stats.Held counts it already. It must not
	// block.
	OnHold func()
	// OnHeld, if set, is called when a connection stops being held. It must not block.
	OnHeld func(Held)
}

// Held is how a connection was held.
type Held struct {
	// Waited is for how long.
	Waited time.Duration
	// Outcome is why it is held no more; Relayed means that it is about to be relayed.
	Outcome Outcome
	// Target counts it as use; nil if none does.
	Target Target
	// Connect is how long the attempt took that connected it to its backend; 0 if it is not Relayed.
	Connect time.Duration
}

// Settings of a Service. The zero value is the defaults.
type Settings struct {
	// Target is what connections acquire from now on; those that have acquired another release that one, and those that
	// passed an Open acquire this one as well. Default Config.Target.
	Target Target
	// WakeTimeout is how long a connection is held, from accept (or the first byte, with WakeOnData) to a connected
	// backend. Default 2 minutes; any positive time.
	WakeTimeout time.Duration
	// MaxHeld is how many connections are held at once; the next is refused. Default 1024; at least 1.
	MaxHeld int
	// WakeOnData makes a connection wait for its first byte, for WakeTimeout, before it wakes the target. Default false: it
	// wakes at once.
	// While the target is awake it makes no difference.
	WakeOnData bool
	// ParkAfter is for how long a connection has moved no byte when it stops to count as use. It stays open until the target
	// leaves Awake, and counts again when either peer sends something; one that has passed an Open counts until it ends.
	// Default 0: an open connection is use.
	ParkAfter time.Duration
	// IgnoreSources are client networks whose connections neither wake nor count. Default none.
	IgnoreSources []netip.Prefix
	// Affinity sends all connections of one client address to one backend. Default false: to the least loaded.
	Affinity bool
	// OnMissing, if set, says that the target does not exist: connections that are held, or would have to be, are refused,
	// and OnMissing is called for each of the latter. It must not block. Default nil: it exists.
	OnMissing func()
	// ProxyProtocol is the version of the header that backends are sent first. Default 0, none; 1 or 2.
	ProxyProtocol ProxyProtocol
}

// Port is one port of a Service.
type Port struct {
	// Listen is the port to accept on, 1 to 65535. It identifies the Port.
	Listen uint16
	// Number is the Service's port, for people. Default 0: not known.
	Number int32
	// Passive connections neither wake nor count, as those of ignored sources. Default false.
	Passive bool
}

func (s Settings) withDefaults(target Target) Settings {
	if s.Target == nil {
		s.Target = target
	}
	if s.WakeTimeout <= 0 {
		s.WakeTimeout = DefaultWakeTimeout
	}
	if s.MaxHeld <= 0 {
		s.MaxHeld = DefaultMaxHeld
	}
	return s
}

// ignores reports whether connections from client neither wake nor count.
func (s *Settings) ignores(client netip.Addr) bool {
	for _, p := range s.IgnoreSources {
		if p.Contains(client) {
			return true
		}
	}
	return false
}
