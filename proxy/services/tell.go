package services

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// What Events say has happened.
const (
	scaledToZero = "ScaledToZero"
	waking       = "Waking"
	awake        = "Awake"
)

const (
	// maxUntold is how many transitions may wait to be told of, a few hundred bytes each; of more, nobody is told. All targets of
	// a namespace may fall asleep at one time, sooner than the API server takes Events.
	maxUntold = 4096
	// maxToldServices is how many Services of a target are told that it has fallen asleep, the oldest.
	maxToldServices = 8
	// tellTimeout bounds the write of one Event. It is not tried again: it tells of what is over.
	tellTimeout = 5 * time.Second
)

// happening is a transition of a target, at a time.
type happening struct {
	of contract.Target
	at time.Time
	target.Transition
}

// teller writes Events about what this process has done to targets, on them and on their Services, one after the other. What
// another proxy has done it tells itself. Nobody waits for it, and what it cannot write is lost.
type teller struct {
	events   eventWriter
	log      *zap.Logger
	options  Options
	services func(happening) map[types.UID]string
	kind     func(schema.GroupResource) (schema.GroupVersionKind, bool)
	queue    chan happening
}

// tell has a transition told of, soon.
func (t *teller) tell(h happening) {
	select {
	case t.queue <- h:
	default:
		t.log.Debug("nobody is told", zap.Stringer("target", h.of), zap.String("event", h.note()))
	}
}

// run tells until ctx ends.
func (t *teller) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-t.queue:
			for i, about := range t.about(h) {
				// Named as client-go does. A target and a Service may have one name.
				t.write(ctx, h, about, fmt.Sprintf("%s.%x", about.Name, h.at.UnixNano()+int64(i)))
			}
		}
	}
}

// about returns the target, if its kind is known, and its Services.
func (t *teller) about(h happening) []corev1.ObjectReference {
	var all []corev1.ObjectReference
	if kind, known := t.kind(h.of.GroupResource()); known {
		// kubectl describe looks for the UID, too.
		all = append(all, corev1.ObjectReference{
			APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: t.options.Namespace, Name: h.of.Name, UID: h.UID,
		})
	}
	for uid, name := range t.services(h) {
		all = append(all, serviceReference(t.options.Namespace, name, uid))
	}
	return all
}

func serviceReference(namespace, name string, uid types.UID) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name, UID: uid}
}

func (t *teller) write(ctx context.Context, h happening, about corev1.ObjectReference, name string) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	reason, action := h.reason()
	_, err := t.events.Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: t.options.Namespace, Name: name},
		EventTime:           metav1.NewMicroTime(h.at),
		ReportingController: contract.ProxyName,
		ReportingInstance:   t.options.Pod,
		Type:                corev1.EventTypeNormal,
		Reason:              reason,
		Action:              action,
		Regarding:           about,
		Note:                h.note(),
	})
	if err != nil && ctx.Err() == nil {
		t.log.Debug("write an event", zap.String("about", about.Name), zap.Error(err))
	}
}

func (h happening) reason() (reason, action string) {
	switch h.Change {
	case target.Waking:
		return waking, "Wake"
	case target.Woken:
		return awake, "Wake"
	}
	return scaledToZero, "Sleep"
}

// note is what an Event says to a person.
func (h happening) note() string {
	switch {
	case h.Paused:
		return fmt.Sprintf("scaling %s to %d, because it is paused", h.of, h.Replicas)
	case h.Change == target.Waking:
		return fmt.Sprintf("scaling %s to %d for a connection%s", h.of, h.Replicas, whose(h.Source))
	case h.Change == target.Woken:
		return fmt.Sprintf("%s was ready %s after the connection%s", h.of, h.Took.Round(time.Millisecond), whose(h.Source))
	}
	after := map[target.SleepReason]string{
		target.NoConnections: fmt.Sprintf("nobody was connected for %s", h.IdleTimeout),
		target.NoTraffic:     fmt.Sprintf("no byte was sent for %s, and connections that were open have ended", h.IdleTimeout),
		target.TakenOver:     "another proxy had begun to",
		target.Requested:     fmt.Sprintf("somebody asked for that (%s)", contract.SleepRequestedKey),
	}
	return fmt.Sprintf("scaled %s from %d to 0: %s", h.of, h.Replicas, after[h.Why])
}

// whose says whose connection it is, as far as that is known.
func whose(s target.Source) string {
	text := ""
	if addr := s.Client.Addr(); addr.IsValid() {
		text = " from " + addr.String()
	}
	switch {
	case s.Service != "" && s.Port != 0:
		return fmt.Sprintf("%s to port %d of Service %s", text, s.Port, s.Service)
	case s.Service != "":
		return fmt.Sprintf("%s to Service %s", text, s.Service)
	}
	return text
}

// toldServices are the Services that are told of a transition: whose connection it was, or all that the target sleeps and wakes for.
func (m *Manager) toldServices(h happening) map[types.UID]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := map[types.UID]string{}
	for _, uid := range m.last.Targets[h.of].Services {
		name := m.last.Services[uid].Name
		if name != "" && len(told) < maxToldServices && (h.Change == target.FellAsleep || h.Paused || name == h.Source.Service) {
			told[uid] = name
		}
	}
	return told
}
