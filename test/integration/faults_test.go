//go:build integration

package integration

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller"
)

// stages is how many transitions are played at once. They mostly wait.
const stages = 24

// What a namespace comes to, see stage.look. Allocated ports are A, B, ... in the order of their mention.
const (
	active = `
Service web selects {tpa.dev/proxy=tpa-proxy} 80:A
  has {tpa.dev/managed=true} {tpa.dev/original={"selector":{"app":"web"},"targetPorts":{"80":8080}} tpa.dev/phase=Active tpa.dev/ports=80:A tpa.dev/target=web}
Lease tpa-deployments-web: Awake, owed false, claims []
Deployment tpa-proxy: 2 x proxy:v1
Deployment web: 1
ServiceAccount tpa-proxy
RoleBinding tpa-proxy
PodDisruptionBudget tpa-proxy`

	activeOnTwoPorts = `
Service web selects {tpa.dev/proxy=tpa-proxy} 80:A 443:B
  has {tpa.dev/managed=true} {tpa.dev/original={"selector":{"app":"web"},"targetPorts":{"443":8443,"80":8080}} tpa.dev/phase=Active tpa.dev/ports=80:A,443:B tpa.dev/target=web}
Lease tpa-deployments-web: Awake, owed false, claims []
Deployment tpa-proxy: 2 x proxy:v1
Deployment web: 1
ServiceAccount tpa-proxy
RoleBinding tpa-proxy
PodDisruptionBudget tpa-proxy`

	restored = `
Service web selects {app=web} 80:8080
  has {} {}
Deployment web: 1`

	restoredAnnotated = `
Service web selects {app=web} 80:8080
  has {} {tpa.dev/target=web}
Deployment web: 1`

	restoredBoth = `
Service db selects {app=db} 80:8080
  has {} {tpa.dev/target=db}
Service web selects {app=web} 80:8080
  has {} {tpa.dev/target=web}
Deployment db: 1
Deployment web: 1`

	deleted = `
Deployment web: 1`
)

// transition is something that happens to a namespace.
type transition struct {
	name  string
	begin func(*stage)
	do    func(*stage)
	// want is where it ends.
	want string
	// edit changes the controller's options.
	edit func(*controller.Options)
}

var transitions = []transition{
	{
		name:  "opt in by annotation",
		begin: func(s *stage) { s.open(true); s.app("web", nil) },
		do:    func(s *stage) { s.annotate("web", `"web"`) },
		want:  active,
	},
	{
		name: "opt in a Service in use by the namespace's label",
		begin: func(s *stage) {
			s.open(false)
			s.app("web", map[string]string{contract.TargetKey: "web"})
		},
		do:   func(s *stage) { s.label(s.name, contract.InjectLabel, contract.InjectEnabled) },
		want: active,
	},
	{
		name:  "add a port",
		begin: func(s *stage) { s.active("web") },
		do: func(s *stage) {
			s.patch(&corev1.Service{ObjectMeta: named(s.name, "web")},
				`{"spec":{"ports":[{"name":"http","port":80,"targetPort":8080},{"name":"https","port":443,"targetPort":8443}]}}`)
		},
		want: activeOnTwoPorts,
	},
	{
		name:  "opt out awake",
		begin: func(s *stage) { s.active("web") },
		do:    func(s *stage) { s.annotate("web", "null") },
		want:  restored,
	},
	{
		name:  "opt out asleep",
		begin: func(s *stage) { s.active("web"); s.asleep("web") },
		do:    func(s *stage) { s.annotate("web", "null") },
		want:  restored,
	},
	{
		name:  "take the namespace's label off while one of two sleeps",
		begin: func(s *stage) { s.active("web", "db"); s.asleep("web") },
		do:    func(s *stage) { s.label(s.name, contract.InjectLabel, "no") },
		want:  restoredBoth,
	},
	{
		name:  "delete the Service of a sleeping target",
		begin: func(s *stage) { s.active("web"); s.asleep("web") },
		do: func(s *stage) {
			must(s.t, server.Admin.Delete(s.t.Context(), &corev1.Service{ObjectMeta: named(s.name, "web")}))
		},
		want: deleted,
	},
	{
		name:  "uninstall",
		begin: func(s *stage) { s.active("web"); s.asleep("web") },
		do:    func(s *stage) { s.label(s.own, contract.UninstallLabel, contract.UninstallTrue) },
		want:  restoredAnnotated,
	},
	{
		name:  "step aside and come back",
		begin: func(s *stage) { s.active("web"); s.asleep("web") },
		do: func(s *stage) {
			s.proxiesFail(`"yes"`)
			s.phase("web", contract.Pending)
			s.proxiesFail("null")
		},
		// Only a proxy that has seen the target back says that nothing is owed.
		want: strings.NewReplacer("owed false", "owed true", "proxy:v1", "proxy:v1 map[asideAt:some time asides:1]").Replace(active),
		edit: func(o *controller.Options) {
			o.StepAsideAfter, o.StepAsideBackoff = 500*time.Millisecond, 500*time.Millisecond
		},
	},
	{
		name:  "a new image",
		begin: func(s *stage) { s.active("web") },
		do:    func(s *stage) { s.upgrade("proxy:v2") },
		want:  strings.Replace(active, "proxy:v1", "proxy:v2", 1),
	},
}

// TestKilledAnywhere kills the controller at each write of each transition, just before the write reaches the API server
// and just after, and starts another, which remembers nothing; or lets it live and loses the answer. It must end where it
// would have ended undisturbed, and one that is started then must find nothing to do.
func TestKilledAnywhere(t *testing.T) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	theatre := newTheatre(t)
	var all tally
	begin := time.Now()
	var ended sync.WaitGroup
	for i, tr := range transitions {
		ended.Go(func() {
			t.Run(tr.name, func(t *testing.T) { theatre.strikeEverywhere(t, fmt.Sprintf("kill-%d", i), tr, &all) })
		})
	}
	ended.Wait()
	// Some writes are only needed if a watch is behind, so that some runs have fewer.
	if reached, missed := all.reached.Load(), all.missed.Load(); missed > reached/10 {
		t.Errorf("%d of %d fault points were not reached", missed, missed+reached)
	}
	t.Logf("%d transitions, %d fault points, %d restarts in %s",
		len(transitions), all.reached.Load(), all.restarts.Load(), time.Since(begin).Round(time.Second))
}

// tally sums up over transitions.
type tally struct{ reached, missed, restarts atomic.Int64 }

// strikeEverywhere plays a transition undisturbed, and then once for each blow at each of its writes.
func (th *theatre) strikeEverywhere(t *testing.T, name string, tr transition, all *tally) {
	undisturbed := th.play(t, name, tr, fault{})
	t.Logf("%d writes:\n\t%s", len(undisturbed.writes), strings.Join(undisturbed.writes, "\n\t"))
	var ended sync.WaitGroup
	for n, write := range undisturbed.writes {
		for b, blow := range []blow{killBefore, killAfter, lost} {
			ended.Go(func() {
				t.Run(fmt.Sprintf("%s write %d, %s", blow, n+1, write), func(t *testing.T) {
					outcome := th.play(t, fmt.Sprintf("%s-%d-%d", name, n+1, b), tr, fault{at: n + 1, blow: blow})
					if outcome.missed {
						all.missed.Add(1)
						return
					}
					all.reached.Add(1)
					all.restarts.Add(int64(outcome.restarts))
				})
			})
		}
	}
	ended.Wait()
}
