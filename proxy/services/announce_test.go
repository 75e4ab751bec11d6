package services

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// eventServer keeps Events by name, as the API server does.
type eventServer struct {
	mu     sync.Mutex
	events map[string]*eventsv1.Event
	asked  int
	fail   error
}

func (s *eventServer) Create(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fail != nil {
		return nil, s.fail
	}
	if s.events[e.Name] != nil {
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "events"}, e.Name)
	}
	s.events[e.Name] = e
	return e, nil
}

// announcing runs a test in a bubble, with an announcer for each proxy pod; what is said begins right after an hour has.
func announcing(t *testing.T, test func(t *testing.T, s *eventServer, start func(pod string) *announcer)) {
	synctest.Test(t, func(t *testing.T) {
		_, left := because.hour(time.Now())
		time.Sleep(left)
		s := &eventServer{events: map[string]*eventsv1.Event{}}
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		test(t, s, func(pod string) *announcer {
			a := newAnnouncer(s, zap.NewNop(), Options{Namespace: namespace, Pod: pod})
			go a.run(ctx)
			return a
		})
	})
}

// later lets time pass, and all that is due happen.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *eventServer) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *eventServer) want(t *testing.T, events, asked int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) != events || s.asked != asked {
		t.Errorf("%d Events of %d writes, want %d of %d", len(s.events), s.asked, events, asked)
	}
}

var because = notice{service: "web", uid: "uid-web", reason: sleepBlocked, text: "deployment/web does not sleep: because"}

func TestANoticeIsAnEventOnItsService(t *testing.T) {
	announcing(t, func(t *testing.T, s *eventServer, start func(string) *announcer) {
		start("tpa-proxy-a").set([]notice{because})
		later(announceAfter)
		s.want(t, 1, 1)
		want := &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace}, ReportingController: "tpa-proxy", ReportingInstance: "tpa-proxy-a",
			Type: "Warning", Reason: "SleepBlocked", Action: "Sleep", Note: "deployment/web does not sleep: because",
			EventTime: metav1.NowMicro(),
			Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: "web", UID: "uid-web"},
		}
		for _, got := range s.events {
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "Name")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

func TestWhatIsOverInAMomentIsNotSaid(t *testing.T) {
	announcing(t, func(t *testing.T, s *eventServer, start func(string) *announcer) {
		a := start("a")
		for range 5 {
			a.set([]notice{because})
			later(announceAfter - time.Second)
			a.set(nil)
			later(time.Second)
		}
		later(time.Hour)
		s.want(t, 0, 0)
	})
}

func TestANoticeIsSaidOnceAnHourByAllProxiesTogether(t *testing.T) {
	announcing(t, func(t *testing.T, s *eventServer, start func(string) *announcer) {
		a, b := start("a"), start("b")
		said := func() {
			for range 10 { // each change of anything in the namespace
				a.set([]notice{because})
				b.set([]notice{because})
				later(time.Minute)
			}
		}
		said()
		s.want(t, 1, 2)
		c := start("c") // one is replaced
		c.set([]notice{because})
		b.set(nil)
		later(10 * time.Minute)
		s.want(t, 1, 3)
		later(40 * time.Minute)
		s.want(t, 2, 5)
		later(time.Hour)
		s.want(t, 3, 7)
		a.set(nil)
		c.set(nil)
		later(24 * time.Hour)
		s.want(t, 3, 7)
	})
}

func TestEachServiceAndReasonIsSaid(t *testing.T) {
	announcing(t, func(t *testing.T, s *eventServer, start func(string) *announcer) {
		other, again := because, because
		other.service, other.uid = "api", "uid-api"
		again.text = "deployment/web does not sleep: another reason"
		a := start("a")
		a.set([]notice{because, other})
		later(time.Minute)
		s.want(t, 2, 2)
		a.set([]notice{again, other})
		later(time.Minute)
		s.want(t, 3, 3)
	})
}

func TestWhatCannotBeSaidIsTriedAgain(t *testing.T) {
	announcing(t, func(t *testing.T, s *eventServer, start func(string) *announcer) {
		s.failWith(errors.New("forbidden"))
		start("a").set([]notice{because})
		later(announceAfter + 2*announceAgain)
		s.want(t, 0, 3)
		s.failWith(nil)
		later(announceAgain)
		s.want(t, 1, 4)
	})
}
