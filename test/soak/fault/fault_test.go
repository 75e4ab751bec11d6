//go:build e2e

package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
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
	// callAfter is how long after the strike somebody calls what has slept until then.
	callAfter = 2 * time.Second
	// nap is the idle time-out of what sleeps, rest how long its client leaves it alone: long enough for both.
	nap, rest = 2 * time.Second, 4 * time.Second
)

// local are the faults, besides those of targets, that concern one namespace only.
var local = []string{"proxy-deleted", "proxy-killed", "proxies-rolled", "proxies-unschedulable"}

// TestFaults lets each fault strike a namespace whose Services are in use, sees that it does what it says, heals it, and
// waits until all is normal. Nothing is lost but what the fault may cost.
func TestFaults(t *testing.T) {
	// What is broken when this is interrupted is healed like everything else.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop) // and not deferred: parallel tests are still to come then
	c, err := kit.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range All() {
		t.Run(f.Name, func(t *testing.T) {
			effect, ok := effects[f.Name]
			if !ok {
				t.Fatal("this test does not know what it does")
			}
			if f.On == Targets || slices.Contains(local, f.Name) {
				t.Parallel()
			}
			w := setUp(ctx, t, c)
			w.try(f, effect)
		})
	}
}

// world is one fault's namespace: an app that is always in use, one that sleeps whenever its client rests, one that faults
// of targets strike, and one that sleeps until it is called once while the fault lasts.
type world struct {
	*testing.T
	ctx context.Context
	env *Env
	// loads are the clients by what they do.
	loads map[string]*kit.Running
	// sleeper is called while the fault lasts.
	sleeper kit.Load

	mu      sync.Mutex
	victims []Victim
	before  map[string]corev1.Pod // the proxies' and webhooks' pods when it struck
}

func setUp(ctx context.Context, t *testing.T, c *kit.Cluster) *world {
	t.Helper()
	ns := kit.Namespace("", true)
	ns.GenerateName = "fault-"
	ns.Labels[suiteLabel] = "true"
	w := &world{T: t, ctx: ctx, loads: map[string]*kit.Running{}, before: map[string]corev1.Pod{}}
	w.must(c.Create(ctx, ns))
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
	w.sleeper = w.start("sleeper", 1, nap, kit.Load{})
	busy := w.start("busy", 2, time.Hour, kit.Load{Clients: 2, Pause: 25 * time.Millisecond})
	w.load("busy", busy)
	busy.KeepAlive, busy.Life = true, 5*time.Second
	w.load("busy, kept alive", busy)
	w.load("sleepy", w.start("sleepy", 1, nap, kit.Load{Pause: rest}))
	w.load("victim", w.start("victim", 1, nap, kit.Load{Pause: nap + nap/4})) // it comes when the decision to sleep is due
	w.must(kit.Wait(ctx, patience, "all to be normal", w.normal))
	return w
}

// start creates an app with its Service, and returns a Load with what its clients need.
func (w *world) start(name string, replicas int32, idle time.Duration, load kit.Load) kit.Load {
	w.Helper()
	app := kit.App{Name: name, Namespace: w.env.Namespace, Replicas: replicas}
	s := app.Service(map[string]string{contract.TargetKey: name, contract.IdleTimeoutKey: idle.String()})
	w.must(w.env.Cluster.Create(w.ctx, app.Deployment()))
	w.must(w.env.Cluster.Create(w.ctx, s))
	load.From, load.Address, load.App = w.env.Cluster.Nodes[0], net.JoinHostPort(s.Spec.ClusterIP, "80"), name+"-"
	load.Timeout = 100 * time.Second // a fault's time, and what it takes after that
	w.must(kit.Wait(w.ctx, patience, name+" to answer through the proxy", func(ctx context.Context) (bool, string) {
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
	return load
}

func (w *world) load(name string, load kit.Load) { w.loads[name] = kit.StartLoad(w.ctx, load) }

// asleep looks whether a Deployment has no replicas and no pods any more.
func (w *world) asleep(name string) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		d, err := w.env.target(ctx, name)
		return err == nil && kit.Replicas(d) == 0 && d.Status.ObservedGeneration == d.Generation && d.Status.Replicas == 0,
			fmt.Sprint(kit.Describe(d), err)
	}
}

// call calls what sleeps, a while from now. The function that it returns waits for the answer, and tells when it came.
func (w *world) call() func() (asked, answered time.Time, err error) {
	var asked, answered time.Time
	done := make(chan error, 1)
	go func() {
		<-time.After(callAfter)
		asked = time.Now()
		ctx, cancel := context.WithTimeout(w.ctx, w.sleeper.Timeout)
		defer cancel()
		err := w.ask(ctx, w.sleeper)
		answered = time.Now()
		done <- err
	}()
	return func() (time.Time, time.Time, error) {
		err := <-done
		return asked, answered, err
	}
}

func (w *world) ask(ctx context.Context, load kit.Load) error {
	conn, err := load.From.Open(ctx, load.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Ask(load.Timeout)
	return err
}

// try has a fault come and go.
func (w *world) try(f Fault, effect func(*world) func(context.Context) (bool, string)) {
	w.Helper()
	w.must(kit.Wait(w.ctx, patience, "the sleeper to sleep", w.asleep("sleeper")))
	w.remember()
	struck := time.Now()
	answer := w.call()
	heal, err := f.Strike(w.ctx, w.env)
	w.must(err)
	healOnce := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return heal(ctx)
	})
	defer func() {
		if err := healOnce(); err != nil {
			w.Error(err)
		}
	}()
	began := time.Now()
	w.must(kit.Wait(w.ctx, max(f.For, patience/2), "the effect of "+f.Name, effect(w)))
	w.Logf("struck %.1fs, the effect shows %.1fs later", began.Sub(struck).Seconds(), time.Since(began).Seconds())
	select {
	case <-time.After(time.Until(began.Add(f.For))):
	case <-w.ctx.Done():
	}
	healing := time.Now()
	w.must(healOnce())
	back := time.Now()
	w.must(kit.Wait(w.ctx, f.Back, "all to be normal after "+f.Name, w.normal))
	w.Logf("healed in %.1fs, normal %.1fs later", back.Sub(healing).Seconds(), time.Since(back).Seconds())
	for name, load := range w.loads {
		w.must(kit.Wait(w.ctx, f.Back, name+" to be answered again", more(load)))
	}
	w.Logf("all answered %.1fs after the heal", time.Since(back).Seconds())
	asked, answered, err := answer()
	w.Logf("what slept was called %.1fs in, and answered %.1fs later, %.1fs after the heal: %v", asked.Sub(began).Seconds(),
		answered.Sub(asked).Seconds(), answered.Sub(back).Seconds(), err)
	if err != nil && !excuses(f, "sleeper") {
		w.Error("it was not answered")
	}
	w.judge(f)
}

// excuses reports whether what an app loses is the fault's.
func excuses(f Fault, app string) bool {
	return f.MayLose != Nothing && (f.MayLose != AtBrokenTarget || app == "victim")
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
		if tally.Failed() > 0 && !excuses(f, name) {
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
	pods, err := w.tpaPods(w.ctx)
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
