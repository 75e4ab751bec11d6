package services

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

const (
	// announceAfter is for how long something must be so before it is said: each opt-in passes through states that are
	// over in a moment. What has happened is said at once.
	announceAfter = 10 * time.Second
	// announceEvery is when it is said again. The API server keeps an Event for an hour, and who looks after days must
	// find the reason, too.
	announceEvery = time.Hour
	// announceAgain is when one that could not be said is tried again.
	announceAgain = time.Minute
)

// notice is something that the owner of a Service should know.
type notice struct {
	service string
	uid     types.UID
	reason  string
	text    string
}

// eventWriter writes Events; kube.Client's do.
type eventWriter interface {
	Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error)
}

// announcer keeps Events on Services that say what is to be known about them.
//
// An Event's name follows from the Service, the text and the hour. So of all the proxies of a namespace, and of all their
// lives, one writes it and the others are told that it exists, without a word between them. The Events of client-go
// cannot do that: they are aggregated for each process, and without regard to the text.
type announcer struct {
	events  eventWriter
	log     *zap.Logger
	options Options
	kick    chan struct{}

	mu      sync.Mutex
	notices map[notice]announced
}

// announced is how far a notice has got.
type announced struct {
	since time.Time
	// hour is the one that it was last said in; 0 if it never was.
	hour int64
}

func newAnnouncer(events eventWriter, log *zap.Logger, options Options) *announcer {
	return &announcer{events: events, log: log, options: options, kick: make(chan struct{}, 1), notices: map[notice]announced{}}
}

// set changes what is to be said.
func (a *announcer) set(notices []notice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, changed := make(map[notice]announced, len(notices)), len(notices) != len(a.notices)
	for _, n := range notices {
		known, ok := a.notices[n]
		if !ok {
			known.since, changed = time.Now(), true
		}
		now[n] = known
	}
	a.notices = now
	if changed {
		select {
		case a.kick <- struct{}{}:
		default:
		}
	}
}

// run says what is due until ctx ends.
func (a *announcer) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
		case <-timer.C:
		}
		timer.Stop()
		if next, any := a.announce(ctx); any {
			timer.Reset(next)
		}
	}
}

// announce says what is due, and returns in how long something will be.
func (a *announcer) announce(ctx context.Context) (next time.Duration, any bool) {
	now := time.Now()
	for n, known := range a.snapshot() {
		wait := known.since.Add(n.after()).Sub(now)
		if hour, left := n.hour(now); wait <= 0 {
			wait = left
			if hour != known.hour && !a.say(ctx, n, hour) {
				wait = announceAgain
			}
		}
		if !any || wait < next {
			next, any = wait, true
		}
	}
	return next, any
}

func (a *announcer) snapshot() map[notice]announced {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.notices)
}

// say writes the Event of an hour, and reports whether it is there.
func (a *announcer) say(ctx context.Context, n notice, hour int64) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := a.events.Create(ctx, a.event(n, hour)); err != nil && !apierrors.IsAlreadyExists(err) {
		if ctx.Err() == nil {
			a.log.Warn("write an event", zap.String("service", n.service), zap.Error(err))
		}
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.notices[n]; ok {
		if known.hour == 0 {
			a.log.Info("service", zap.String("service", n.service), zap.String("event", n.text))
		}
		known.hour = hour
		a.notices[n] = known
	}
	return true
}

func (a *announcer) event(n notice, hour int64) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: a.options.Namespace, Name: fmt.Sprintf("%s.%x", n.service, n.hash(hour))},
		EventTime:           metav1.NowMicro(),
		ReportingController: contract.ProxyName,
		ReportingInstance:   a.options.Pod,
		Type:                corev1.EventTypeWarning, // it costs money, or connections, until somebody acts
		Reason:              n.reason,
		Action:              n.action(),
		Regarding:           serviceReference(a.options.Namespace, n.service, n.uid),
		Note:                n.text,
	}
}

// hour numbers the hours, and tells how much of this one is left. Each Service's begin at another time, so that not all
// are repeated at once.
func (n notice) hour(now time.Time) (number int64, left time.Duration) {
	shifted := now.UnixNano() + int64(notice{uid: n.uid}.hash(0)%uint64(announceEvery))
	return shifted / int64(announceEvery), announceEvery - time.Duration(shifted%int64(announceEvery))
}

func (n notice) after() time.Duration {
	if n.reason == wakeTimeout {
		return 0
	}
	return announceAfter
}

// action is what comes to nothing.
func (n notice) action() string {
	switch n.reason {
	case sleepBlocked, replicasContested:
		return "Sleep"
	case invalidAnnotation:
		return "Read"
	}
	return "Wake"
}

// hash is the same in every process.
func (n notice) hash(hour int64) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\n%s\n%d", n.uid, n.text, hour) // a hash takes anything
	return h.Sum64()
}
