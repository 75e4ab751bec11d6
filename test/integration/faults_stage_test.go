//go:build integration

package integration

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/controller"
)

// stageLabel on the two Namespaces of a stage says which one it is.
const stageLabel = "test.tpa.dev/stage"

// patience is how long anything may take: a machine may be busy.
const patience = time.Minute

// theatre is what all stages share.
type theatre struct {
	self *rest.Config
	seen cache.Cache
	free chan struct{}
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	self, err := server.As(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	must(t, err)
	self.QPS, self.WarningHandler = -1, rest.NoWarnings{}
	stop, err := server.Play(t.Context(), apiserver.PlayOptions{})
	must(t, err)
	t.Cleanup(func() { must(t, stop()) })
	seen, err := cache.New(server.Config, cache.Options{})
	must(t, err)
	for _, o := range looked {
		_, err := seen.GetInformer(t.Context(), o, cache.BlockUntilSynced(false))
		must(t, err)
	}
	go func() { _ = seen.Start(t.Context()) }()
	if !seen.WaitForCacheSync(t.Context()) {
		t.Fatal("nothing is seen")
	}
	return &theatre{self: self, seen: seen, free: make(chan struct{}, stages)}
}

// stage is a namespace in which a transition is played, with a TPA of its own.
type stage struct {
	*theatre
	t         *testing.T
	name, own string
	ledger    ledger

	mu       sync.Mutex
	options  controller.Options
	current  *process
	restarts int
	log      []string
}

// played is what came of a transition.
type played struct {
	writes   []string
	restarts int
	// missed says that there were fewer writes than to the one that the fault was for.
	missed bool
}

// play plays a transition with a fault on a stage of that name.
func (th *theatre) play(t *testing.T, name string, tr transition, f fault) played {
	th.free <- struct{}{}
	defer func() { <-th.free }()
	s := &stage{theatre: th, t: t, name: name, own: name + "-tpa", options: controller.Options{
		Namespace: name + "-tpa", ProxyImage: "proxy:v1", ProxyDrain: time.Second, SettleTime: time.Millisecond,
		RestoreTimeout: time.Hour, Linger: 200 * time.Millisecond, StepAsideAfter: time.Hour,
	}}
	if tr.edit != nil {
		tr.edit(&s.options)
	}
	defer s.tell()
	end := s.supervise()
	defer end()
	tr.begin(s)
	s.ledger.begin(f)
	tr.do(s)
	s.until(tr.want)
	writes := s.ledger.all()
	missed := len(writes) < f.at
	want := 0
	if f.at > 0 && !missed {
		s.wait(s.ledger.struck, "be struck") // the end may be seen before the last write is answered
		if f.blow != lost {
			want = 1
		}
	}
	end()
	if s.restarts != want {
		t.Errorf("%d restarts, want %d", s.restarts, want)
	}
	s.rests()
	s.until(tr.want)
	return played{writes, s.restarts, missed}
}

// supervise keeps a controller running, and returns what ends that.
func (s *stage) supervise() (end func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	killed := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.restarts++
		s.log = append(s.log, "--- killed")
	}
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.own, Labels: map[string]string{stageLabel: s.name}}})
	p, err := s.start()
	must(s.t, err)
	go func() {
		defer close(done)
		for {
			select {
			case <-p.life.Done():
				killed()
				if p, err = s.start(); err != nil {
					s.t.Error(err)
					return
				}
			case <-ctx.Done():
				if p.life.Err() != nil {
					killed() // at the last write of all
				}
				p.kill()
				<-p.ended
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// start starts a controller as it is configured by then.
func (s *stage) start() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := start(s.self, server.Admin.RESTMapper(), s.options, view(s.name), &s.ledger, s.note)
	if err != nil {
		return nil, err
	}
	s.current = p
	s.t.Cleanup(func() {
		p.kill()
		<-p.ended
	})
	return p, nil
}

// tell shows the controllers' log of a stage where something went wrong.
func (s *stage) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.t.Failed() {
		s.t.Logf("the controllers' log:\n%s", strings.Join(s.log, "\n"))
	}
}

func (s *stage) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, line)
}

// rests starts one more controller, wakes it, and checks that it finds nothing to do.
func (s *stage) rests() {
	s.ledger.begin(fault{})
	p, err := s.start()
	must(s.t, err)
	defer p.kill()
	s.wait(p.working, "start")
	s.label(s.name, "test.tpa.dev/look", "again")
	s.wait(p.passed, "rest")
	if writes := s.ledger.all(); len(writes) > 0 {
		s.t.Errorf("one more start and there are writes although all is done:\n%s", strings.Join(writes, "\n"))
	}
}

func (s *stage) wait(c chan struct{}, what string) {
	select {
	case <-c:
	case <-time.After(patience):
		s.t.Fatalf("the controller is not seen to %s", what)
	}
}

// until waits until the namespace looks as wanted.
func (s *stage) until(want string) {
	s.t.Helper()
	want = strings.TrimSpace(want)
	got := ""
	s.eventually(func() bool {
		got = s.look()
		return got == want
	}, func() string { return "(-want +got)\n" + cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")) })
}

func (s *stage) eventually(done func() bool, what func() string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("it does not come to this: %s", what())
		}
	}
}
