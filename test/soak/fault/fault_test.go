//go:build e2e

package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

const (
	// suiteLabel marks the namespaces of these tests.
	suiteLabel = "soak-fault"
	// patience is for what must happen but has no deadline of its own.
	patience = 2 * time.Minute
	// nap is the idle time-out of what sleeps, rest how long its client leaves it alone: long enough for both.
	nap, rest = 2 * time.Second, 4 * time.Second
)

// TestFaults lets each fault strike a namespace whose Services are in use, sees that it does what it says, heals it, and
// waits until all is normal. Nothing is lost but what the fault may cost.
func TestFaults(t *testing.T) {
	c, err := kit.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range All() {
		t.Run(f.Name, func(t *testing.T) {
			effect, ok := effects[f.Name]
			if !ok {
				t.Fatal("this test does not know what it does")
			}
			w := setUp(t, c)
			w.try(f, effect)
		})
	}
}

// world is one fault's namespace: an app that is always in use, one that sleeps whenever its client rests, and one that
// faults of targets strike.
type world struct {
	*testing.T
	env *Env
	// loads are the clients by what they do.
	loads map[string]*kit.Running

	mu      sync.Mutex
	victims []Victim
	before  map[string]corev1.Pod // the proxies' and webhooks' pods when it struck
}

func setUp(t *testing.T, c *kit.Cluster) *world {
	t.Helper()
	ns := kit.Namespace("", true)
	ns.GenerateName = "fault-"
	ns.Labels[suiteLabel] = "true"
	w := &world{T: t, loads: map[string]*kit.Running{}, before: map[string]corev1.Pod{}}
	w.must(c.Create(t.Context(), ns))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w.env = &Env{Cluster: c, Namespace: ns.Name, Targets: []string{"victim"}, Rand: rand.New(rand.NewPCG(seed, 0)), Struck: w.struck}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log("namespace " + ns.Name + ":\n" + c.Diagnose(ctx, ns.Name))
		}
		if os.Getenv("KEEP_NAMESPACES") == "" {
			_ = c.Delete(ctx, ns)
		}
	})
	w.start("busy", 2, time.Hour, kit.Load{Clients: 3})
	w.start("sleepy", 1, nap, kit.Load{Pause: rest})
	w.start("victim", 1, nap, kit.Load{Pause: time.Second})
	w.must(kit.Wait(t.Context(), patience, "all to be normal", w.normal))
	return w
}

// start creates an app with its Service and clients.
func (w *world) start(name string, replicas int32, idle time.Duration, load kit.Load) {
	w.Helper()
	app := kit.App{Name: name, Namespace: w.env.Namespace, Replicas: replicas}
	s := app.Service(map[string]string{contract.TargetKey: name, contract.IdleTimeoutKey: idle.String()})
	w.must(w.env.Cluster.Create(w.Context(), app.Deployment()))
	w.must(w.env.Cluster.Create(w.Context(), s))
	load.From, load.Address, load.App = w.env.Cluster.Nodes[0], net.JoinHostPort(s.Spec.ClusterIP, "80"), name+"-"
	load.Timeout = 100 * time.Second // a fault's time, and what it takes after that
	w.must(kit.Wait(w.Context(), patience, name+" to answer through the proxy", func(ctx context.Context) (bool, string) {
		now := &corev1.Service{}
		if err := w.env.Cluster.Get(ctx, client.ObjectKeyFromObject(s), now); err != nil {
			return false, err.Error()
		}
		if now.Annotations[contract.PhaseKey] != string(contract.Active) {
			return false, kit.Describe(now)
		}
		err := w.ask(ctx, load)
		return err == nil, fmt.Sprint(err)
	}))
	w.loads[name] = kit.StartLoad(w.Context(), load)
	if name == "busy" {
		load.KeepAlive, load.Life = true, 5*time.Second
		w.loads["busy, kept alive"] = kit.StartLoad(w.Context(), load)
	}
}

func (w *world) ask(ctx context.Context, load kit.Load) error {
	conn, err := load.From.Open(ctx, load.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Ask(10 * time.Second)
	return err
}

// try has a fault come and go.
func (w *world) try(f Fault, effect func(*world) func(context.Context) (bool, string)) {
	w.Helper()
	w.remember()
	struck := time.Now()
	heal, err := f.Strike(w.Context(), w.env)
	w.must(err)
	healed := false
	defer func() {
		if !healed {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			w.must(heal(ctx))
		}
	}()
	began := time.Now()
	w.must(kit.Wait(w.Context(), max(f.For, patience/2), "the effect of "+f.Name, effect(w)))
	w.Logf("struck %.1fs, the effect shows %.1fs later", began.Sub(struck).Seconds(), time.Since(began).Seconds())
	select {
	case <-time.After(time.Until(began.Add(f.For))):
	case <-w.Context().Done():
	}
	healed = true
	healing := time.Now()
	w.must(heal(w.Context()))
	back := time.Now()
	w.must(kit.Wait(w.Context(), f.Back, "all to be normal after "+f.Name, w.normal))
	w.Logf("healed in %.1fs, normal %.1fs later", back.Sub(healing).Seconds(), time.Since(back).Seconds())
	for name, load := range w.loads {
		w.must(kit.Wait(w.Context(), f.Back, name+" to be answered again", more(load)))
	}
	w.Logf("all answered %.1fs after the heal", time.Since(back).Seconds())
	w.judge(f)
}

// judge compares what was lost with what the fault may cost.
func (w *world) judge(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.victims {
		w.Logf("victim: %+v", v)
	}
	for name, load := range w.loads {
		tally := load.Stop()
		w.Logf("%s: %s", name, tally)
		if tally.Count[kit.Wrong] > 0 {
			w.Errorf("%s: wrong answers", name)
		}
		excused := f.MayLose != Nothing && (f.MayLose != AtBrokenTarget || name == "victim")
		if tally.Failed() > 0 && !excused {
			w.Errorf("%s lost connections", name)
		}
	}
}

// more looks whether two more requests than now have been answered, and none failed meanwhile.
func more(load *kit.Running) func(context.Context) (bool, string) {
	was := load.Tally()
	return func(context.Context) (bool, string) {
		is := load.Tally()
		if is.Failed() > was.Failed() {
			was = is
		}
		return is.Count[kit.OK] >= was.Count[kit.OK]+2, is.String()
	}
}

func (w *world) normal(ctx context.Context) (bool, string) {
	err := w.env.Normal(ctx)
	return err == nil, fmt.Sprint(err)
}

func (w *world) struck(v Victim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.victims = append(w.victims, v)
}

// remember notes TPA's pods.
func (w *world) remember() {
	w.Helper()
	pods, err := w.tpaPods(w.Context())
	w.must(err)
	for _, pod := range pods {
		w.before[pod.Name] = pod
	}
}

func (w *world) tpaPods(ctx context.Context) ([]corev1.Pod, error) {
	proxies, err := w.env.pods(ctx, w.env.Namespace, kit.ProxyLabels)
	webhooks, err2 := w.env.pods(ctx, kit.SystemNamespace, kit.WebhookLabels)
	return append(proxies, webhooks...), errors.Join(err, err2)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
