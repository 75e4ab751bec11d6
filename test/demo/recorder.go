package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/test/demo/timeline"
)

// recorder notes what there is of an app, and its requests, for the picture. A nil one notes nothing.
type recorder struct {
	cancel  context.CancelFunc
	factory informers.SharedInformerFactory

	mu        sync.Mutex
	replicas  int
	pods      map[types.UID]bool // whether each is ready
	stopped   bool
	recording timeline.Recording
}

func newRecorder(set kubernetes.Interface, app string) *recorder {
	return &recorder{
		cancel:    func() {},
		pods:      map[types.UID]bool{},
		recording: timeline.Recording{App: app, IdleTimeout: idleTimeout},
		factory: informers.NewSharedInformerFactoryWithOptions(set, 0, informers.WithNamespace(namespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "app=" + app })),
	}
}

// record watches an app until stop, or until ctx ends.
func record(ctx context.Context, set kubernetes.Interface, app string) (*recorder, error) {
	r := newRecorder(set, app)
	ctx, r.cancel = context.WithCancel(ctx)
	var synced []cache.InformerSynced
	for _, informer := range []cache.SharedIndexInformer{
		r.factory.Apps().V1().Deployments().Informer(), r.factory.Core().V1().Pods().Informer(),
	} {
		handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { r.see(object, false) },
			UpdateFunc: func(_, object any) { r.see(object, false) },
			DeleteFunc: func(object any) { r.see(object, true) },
		})
		if err != nil {
			r.stop()
			return nil, fmt.Errorf("watch %s: %w", app, err)
		}
		synced = append(synced, handler.HasSynced)
	}
	r.factory.Start(ctx.Done())
	syncing, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	if !cache.WaitForCacheSync(syncing.Done(), synced...) {
		r.stop()
		return nil, fmt.Errorf("watch %s: %w", app, context.Cause(syncing))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// What was there was told object by object, and is one state.
	states := &r.recording.States
	*states = (*states)[max(0, len(*states)-1):]
	return r, nil
}

// see notes the state that a change of an object led to, unless it is what it was.
func (r *recorder) see(object any, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	switch object := object.(type) {
	case *appsv1.Deployment:
		if r.replicas = replicas(object); deleted {
			r.replicas = 0
		}
	case *corev1.Pod:
		if r.pods[object.UID] = ready(object); deleted {
			delete(r.pods, object.UID)
		}
	}
	state := timeline.State{At: time.Now(), Replicas: r.replicas, Pods: len(r.pods)}
	for _, ready := range r.pods {
		if ready {
			state.Ready++
		}
	}
	states := &r.recording.States
	if n := len(*states); n > 0 {
		last := (*states)[n-1]
		if last.At = state.At; last == state {
			return
		}
	}
	*states = append(*states, state)
}

// ready reports whether a pod is, and was not told to end.
func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// request notes one, from its connect to the answer or to the error that came instead. It is safe to call from many
// goroutines.
func (r *recorder) request(at time.Time, took time.Duration, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.recording.Requests = append(r.recording.Requests, timeline.Request{At: at, Took: took, Lost: err != nil})
	}
}

// stop ends the watch, waits until nothing of it runs any more, and returns what was recorded up to the first stop.
func (r *recorder) stop() timeline.Recording {
	if r == nil {
		return timeline.Recording{}
	}
	r.mu.Lock()
	if !r.stopped {
		r.stopped = true
		r.recording.End = time.Now()
	}
	r.mu.Unlock()
	r.cancel()
	r.factory.Shutdown()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recording
}
