//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"tpa.dev/tpa/webhook/controller"
)

var (
	errKilled = errors.New("the process was killed")
	errLost   = errors.New("the answer was lost")
)

// blow is what happens at a write.
type blow string

const (
	killBefore blow = "killed before"
	killAfter  blow = "killed after"
	// lost is an answer that is lost to a process that lives on: it must not take that for a write that was not made.
	lost blow = "answer lost of"
)

// fault is a blow at the write of that number, counted from 1; 0: at none.
type fault struct {
	at   int
	blow blow
}

// ledger is the writes that the processes of a stage have asked for, one after another.
type ledger struct {
	mu     sync.Mutex
	open   bool
	writes []string
	fault  fault
	// struck is closed once the blow is dealt.
	struck chan struct{}
}

// begin starts to count.
func (l *ledger) begin(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.writes, l.fault, l.struck = true, nil, f, make(chan struct{})
}

// note counts a write and says what is to happen at it; empty: nothing. A write that is repeated because a
// watch was behind counts once.
func (l *ledger) note(write string) blow {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open || len(l.writes) > 0 && l.writes[len(l.writes)-1] == write {
		return ""
	}
	l.writes = append(l.writes, write)
	if len(l.writes) != l.fault.at {
		return ""
	}
	return l.fault.blow
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.writes)
}

// process is one life of a controller: the real one, in a manager that sees nothing but its stage.
type process struct {
	// life ends when the process is killed; nothing that it asks for after that reaches the API server.
	life context.Context
	kill context.CancelFunc
	// working is closed when it has read everything and begins to work, passed when it made a pass and has no reason for
	// another.
	working, passed chan struct{}
	// ended is closed when nothing of it is left.
	ended chan struct{}
}

// start starts a controller with a fresh memory.
func start(self *rest.Config, mapper meta.RESTMapper, opts controller.Options, o cache.Options, l *ledger, log func(string)) (*process, error) {
	p := &process{working: make(chan struct{}), passed: make(chan struct{}), ended: make(chan struct{})}
	p.life, p.kill = context.WithCancel(context.Background())
	self = rest.CopyConfig(self)
	self.Wrap(func(next http.RoundTripper) http.RoundTripper { return &mortal{next, p, l} })
	yes, soon := true, time.Second
	mgr, err := ctrl.NewManager(self, ctrl.Options{
		Cache: o, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &yes},
		Logger:                  funcr.New(func(_, line string) { p.hear(line); log(line) }, funcr.Options{Verbosity: 5}),
		MapperProvider:          func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		GracefulShutdownTimeout: &soon,
	})
	if err != nil {
		return nil, fmt.Errorf("set up a controller: %w", err)
	}
	if err := controller.Setup(mgr, opts); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		if err := mgr.Start(p.life); err != nil {
			log(err.Error())
		}
		p.kill()
	}()
	return p, nil
}

// hear makes out from the log what the process is at.
func (p *process) hear(line string) {
	once := func(c chan struct{}, message string) {
		if strings.Contains(line, `"msg"="`+message+`"`) {
			select {
			case <-c:
			default:
				close(c)
			}
		}
	}
	once(p.working, "Starting workers")
	once(p.passed, "Reconcile successful")
}

// view restricts what a controller watches to its namespace and its TPA's own.
func view(namespace string) cache.Options {
	o := controller.Cache()
	o.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	o.ByObject[&corev1.Namespace{}] = cache.ByObject{Label: labels.Set{stageLabel: namespace}.AsSelector()}
	return o
}

// mortal is a process's way to the API server.
type mortal struct {
	next    http.RoundTripper
	process *process
	ledger  *ledger
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.process.life.Err() != nil {
		return nil, errKilled
	}
	write, counts := written(r)
	if !counts {
		return m.next.RoundTrip(r)
	}
	blow := m.ledger.note(write)
	if blow == "" {
		return m.next.RoundTrip(r)
	}
	defer close(m.ledger.struck)
	if blow != killBefore {
		response, err := m.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if blow == lost {
		return nil, errLost
	}
	m.process.kill()
	return nil, errKilled
}

var inNamespace = regexp.MustCompile(`.*/namespaces/[^/]+/`)

// written describes a request, and says whether it is a write that counts: Events are not part of the state.
func written(r *http.Request) (string, bool) {
	path := inNamespace.ReplaceAllString(r.URL.Path, "")
	if r.Method == http.MethodGet || strings.HasPrefix(path, "events") {
		return "", false
	}
	what := strings.ToLower(r.Method) + " " + path
	if strings.Contains(r.Header.Get("Content-Type"), "apply-patch") {
		return strings.Replace(what, "patch", "apply", 1), true
	}
	if r.Method == http.MethodPatch && r.GetBody != nil {
		var patch struct {
			Metadata struct{ Annotations map[string]any }
		}
		if body, err := r.GetBody(); err == nil && json.NewDecoder(body).Decode(&patch) == nil {
			what += " " + strings.Join(slices.Sorted(maps.Keys(patch.Metadata.Annotations)), " ")
		}
	}
	return strings.TrimSpace(what), true
}
