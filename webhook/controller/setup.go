package controller

import (
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/target"
)

const (
	// name is the controller's, in logs, metrics and Events.
	name = "tpa-controller"
	// workers is how many namespaces are worked on at once. Each waits for the API server most of the time.
	workers = 4
	// A pass that failed is tried again after retryMin, then ever more rarely, up to retryMax: whatever it was, some
	// seconds after it is mended nothing is left to do by hand.
	retryMin, retryMax = 100 * time.Millisecond, 30 * time.Second
)

// Setup adds the controller to a manager, whose cache must be made of Cache. It runs on the leader only.
//
// The manager's client needs no limit of its own: the workers bound how much is asked at once, so that an API server that
// is slow is asked more slowly, and by priority and fairness it looks after itself. A limit only makes a restart, or many
// Services at once, take longer: see test/size.
func Setup(mgr ctrl.Manager, opts Options) error {
	proxy, err := opts.validate()
	if err != nil {
		return err
	}
	if opts.Targets == nil {
		if opts.Targets, err = newTargets(mgr); err != nil {
			return err
		}
	}
	r := &Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Targets: opts.Targets,
		Events: mgr.GetEventRecorder(name), Options: opts, Proxy: proxy, Now: time.Now,
	}
	err = r.watch(ctrl.NewControllerManagedBy(mgr).Named(name)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryMin, retryMax),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return nil
}

// newTargets returns what keeps targets on a real API server. Their Leases are read live: the protocol is compare-and-
// swap, and a watch would let it compare with the past.
func newTargets(mgr ctrl.Manager) (Targets, error) {
	store, err := target.NewStore(mgr.GetConfig())
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this process: %w", err)
	}
	process := fmt.Sprintf("%s/%d", host, time.Now().UnixNano())
	return target.NewSteward(store, process), nil
}
