package services

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// telling returns a teller of a proxy that knows the kind of Deployments.
func telling(s eventWriter) *teller {
	return &teller{
		events: s, log: zap.NewNop(), options: Options{Namespace: namespace, Pod: "a"}, queue: make(chan happening, maxUntold),
		services: func(happening) map[types.UID]string { return map[types.UID]string{"uid-web": "web"} },
		kind: func(of schema.GroupResource) (schema.GroupVersionKind, bool) {
			return schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, of.Resource == "deployments"
		},
	}
}

func TestNotes(t *testing.T) {
	source := target.Source{Service: "web", Port: 80, Client: from.Addr}
	for want, h := range map[string]target.Transition{
		"scaled deployment/web from 3 to 0: nobody was connected for 10m0s": {
			Change: target.FellAsleep, Replicas: 3, Why: target.NoConnections, IdleTimeout: 10 * time.Minute,
		},
		"scaled deployment/web from 3 to 0: no byte was sent for 10m0s, and connections that were open have ended": {
			Change: target.FellAsleep, Replicas: 3, Why: target.NoTraffic, IdleTimeout: 10 * time.Minute,
		},
		"scaled deployment/web from 3 to 0: another proxy had begun to": {Change: target.FellAsleep, Replicas: 3, Why: target.TakenOver},
		"scaling deployment/web to 3 for a connection from 192.0.2.7 to port 80 of Service web": {
			Change: target.Waking, Replicas: 3, Source: source,
		},
		"scaling deployment/web to 1 for a connection":      {Change: target.Waking, Replicas: 1},
		"scaling deployment/web to 2, because it is paused": {Change: target.Waking, Replicas: 2, Paused: true},
		"scaled deployment/web from 3 to 0: somebody asked for that (tpa.dev/sleep-requested)": {
			Change: target.FellAsleep, Replicas: 3, Why: target.Requested,
		},
		"deployment/web was ready 2.345s after the connection from 192.0.2.7 to Service web": {
			Change: target.Woken, Took: 2345123 * time.Microsecond, Source: target.Source{Service: "web", Client: from.Addr},
		},
	} {
		if got := (happening{of: web, Transition: h}).note(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestTransitionsAreToldOnTargetAndServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &eventServer{events: map[string]*eventsv1.Event{}}
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		told := telling(s)
		go told.run(ctx)
		at := time.Now()
		told.tell(happening{web, at, target.Transition{Change: target.Woken, UID: "uid-deployment", Took: time.Second}})
		synctest.Wait()
		var got []string
		for name, e := range s.events {
			r := e.Regarding
			got = append(got, r.APIVersion+" "+r.Kind+" "+r.Name+" "+string(r.UID))
			if name != e.Name || e.Reason != "Awake" || e.Action != "Wake" || e.Type != "Normal" || e.Namespace != namespace ||
				e.ReportingController != contract.ProxyName || e.ReportingInstance != "a" || !e.EventTime.Time.Equal(at) || e.Note == "" {
				t.Errorf("%+v", e)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"apps/v1 Deployment web uid-deployment", "v1 Service web uid-web"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		told.tell(happening{db, at.Add(time.Hour), target.Transition{}}) // of a kind that is not known
		synctest.Wait()
		s.want(t, 3, 3)
	})
}

// hanging never answers.
type hanging struct{ asked chan struct{} }

func (h hanging) Create(ctx context.Context, _ *eventsv1.Event) (*eventsv1.Event, error) {
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// While the API server is away nobody waits, nothing grows, and what is over is not told later.
func TestTransitionsAreLostRatherThanKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hanging{make(chan struct{}, 1000)}
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		told := telling(h)
		go told.run(ctx)
		for range 3 * maxUntold {
			told.tell(happening{of: web, at: time.Now()})
		}
		synctest.Wait()
		if len(told.queue) > maxUntold || len(h.asked) != 1 {
			t.Errorf("%d wait, %d writes under way, want %d at most and one", len(told.queue), len(h.asked), maxUntold)
		}
		time.Sleep(2*tellTimeout + time.Second)
		synctest.Wait()
		if n := len(h.asked); n != 3 {
			t.Errorf("%d writes after that time, want 3: each is given up", n)
		}
	})
}

func TestFailedEventIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &eventServer{events: map[string]*eventsv1.Event{}, fail: errors.New("no")}
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		told := telling(s)
		go told.run(ctx)
		told.tell(happening{of: web, at: time.Now()})
		time.Sleep(time.Hour)
		synctest.Wait()
		s.want(t, 0, 2)
	})
}

func TestWhoIsTold(t *testing.T) {
	m := server(t)
	m.last = Plan{Services: map[types.UID]ServicePlan{}, Targets: map[contract.Target]TargetPlan{}}
	var uids []types.UID
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		uids = append(uids, types.UID(name))
		m.last.Services[types.UID(name)] = ServicePlan{Name: name}
	}
	m.last.Targets[web] = TargetPlan{Services: uids}
	for _, tt := range []struct {
		what string
		h    target.Transition
		want int
	}{
		{"a sleep: all, within bounds", target.Transition{Change: target.FellAsleep}, maxToldServices},
		{"a wake: whose connection it was", target.Transition{Change: target.Waking, Source: target.Source{Service: "j"}}, 1},
		{"a wake by nobody", target.Transition{Change: target.Waking}, 0},
	} {
		if got := m.toldServices(happening{of: web, Transition: tt.h}); len(got) != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}

func TestInvalidAnnotationIsSaid(t *testing.T) {
	m := server(t)
	plan := worldOf(active("web", 20001).annotate(contract.MaxHeldKey, "many")).Plan()
	m.late = map[types.UID]said{}
	notices := m.notices(plan, time.Now())
	if len(notices) != 1 || notices[0].reason != invalidAnnotation || notices[0].service != "web" || notices[0].text == "" {
		t.Errorf("%+v, want that the annotation is invalid", notices)
	}
}
