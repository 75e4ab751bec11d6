package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// lag tells how late the watch is by which the cluster's stages are seen. It changes a pod that no node ever runs, outside of the
// wakes. The change is committed between the request and its answer, so the lag lies between the two times that are noted.
type lag struct {
	w       *world
	pod     *corev1.Pod
	trail   *kit.Trail[*corev1.Pod]
	request []time.Duration // from the request until the watch tells
	answer  []time.Duration // from the answer until then; below 0 if the watch was first
}

const lagRepeats = 5 // each round

func newLag(ctx context.Context, w *world) (*lag, error) {
	app := kit.App{Name: "lag", Namespace: w.namespace}
	template := app.Deployment().Spec.Template
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "lag", Namespace: w.namespace, Labels: map[string]string{"lag": ""}}, Spec: template.Spec,
	}
	pod.Spec.SchedulerName = "none"
	if err := w.Create(ctx, pod); err != nil {
		return nil, fmt.Errorf("create pod lag: %w", err)
	}
	return &lag{w: w, pod: pod, trail: w.pods}, nil
}

// sample notes the lag a few times.
func (l *lag) sample(ctx context.Context) error {
	for range lagRepeats {
		from := l.trail.Len()
		value := fmt.Sprint(time.Now().UnixNano())
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"lag":"`+value+`"}}}`))
		request := time.Now()
		if err := l.w.Patch(ctx, l.pod, patch); err != nil {
			return fmt.Errorf("change pod lag: %w", err)
		}
		answer := time.Now()
		seen, err := l.trail.Await(ctx, 10*time.Second, "the change of pod lag to be seen", from, func(c kit.Change[*corev1.Pod]) bool {
			return c.Object.Annotations["lag"] == value
		})
		if err != nil {
			return err
		}
		l.request = append(l.request, seen.At.Sub(request))
		l.answer = append(l.answer, seen.At.Sub(answer))
	}
	return nil
}
