package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"tpa.dev/tpa/test/demo/timeline"
	"tpa.dev/tpa/test/kit"
)

func appMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}}
}

func deployment(replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: appMeta("web"), Spec: appsv1.DeploymentSpec{Replicas: &replicas}}
}

func pod(name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: appMeta(name), Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: ready}}}}
}

// TestRecorder plays a sleep and a wake, draws them, and leaves nothing running.
func TestRecorder(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx := t.Context()
	set := fake.NewClientset(deployment(1), pod("old", corev1.ConditionTrue))
	pods, deployments := set.CoreV1().Pods(namespace), set.AppsV1().Deployments(namespace)
	r, err := record(ctx, set, "web")
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()

	// await waits until so many states were noted: each is a change of its own.
	await := func(n int) {
		t.Helper()
		err := kit.Wait(ctx, 20*time.Second, "the recorder to see it", func(context.Context) (bool, string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.recording.States) >= n, cmp.Diff(nil, r.recording.States)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	await(1)
	r.request(time.Now(), time.Microsecond, nil)
	must(deployments.Update(ctx, deployment(0), metav1.UpdateOptions{}))
	await(2)
	ending := pod("old", corev1.ConditionTrue)
	ending.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	must(pods.Update(ctx, ending, metav1.UpdateOptions{}))
	await(3)
	must(nil, pods.Delete(ctx, "old", metav1.DeleteOptions{}))
	await(4)
	held := time.Now()
	must(deployments.Update(ctx, deployment(1), metav1.UpdateOptions{}))
	await(5)
	must(pods.Create(ctx, pod("new", corev1.ConditionFalse), metav1.CreateOptions{}))
	await(6)
	same := pod("new", corev1.ConditionFalse)
	same.Status.PodIP = "192.0.2.1" // of no interest
	must(pods.Update(ctx, same, metav1.UpdateOptions{}))
	must(pods.Update(ctx, pod("new", corev1.ConditionTrue), metav1.UpdateOptions{}))
	await(7)
	var clients sync.WaitGroup
	clients.Go(func() { r.request(held, time.Since(held), nil) })
	clients.Go(func() { r.request(time.Now(), 0, errors.New("no")) })
	clients.Wait()

	got := r.stop()
	r.request(time.Now(), 0, nil) // too late
	r.see(deployment(9), false)
	if again := r.stop(); len(again.Requests) != 3 || len(again.States) != len(got.States) || !again.End.Equal(got.End) {
		t.Errorf("after it was stopped it noted more: %d requests, %d states, until %s", len(again.Requests), len(again.States), again.End)
	}
	lost := 0
	for _, q := range got.Requests {
		if q.Lost {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("%d requests of %v were lost, want 1", lost, got.Requests)
	}
	before := time.Time{}
	for i := range got.States {
		if got.States[i].At.Before(before) || got.States[i].At.After(got.End) {
			t.Errorf("state %d is out of order: %v", i, got.States)
		}
		before, got.States[i].At = got.States[i].At, time.Time{}
	}
	want := []timeline.State{
		{Replicas: 1, Pods: 1, Ready: 1}, {Replicas: 0, Pods: 1, Ready: 1}, {Replicas: 0, Pods: 1}, {}, {Replicas: 1}, {Replicas: 1, Pods: 1},
		{Replicas: 1, Pods: 1, Ready: 1},
	}
	if diff := cmp.Diff(want, got.States); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRecorderWithoutServer: it says so, and leaves nothing running.
func TestRecorderWithoutServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	set := fake.NewClientset()
	set.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := record(ctx, set, "web"); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "watch web: ") {
		t.Errorf("error %v", err)
	}
}

func TestDraw(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	whole := timeline.Recording{
		App: "web", IdleTimeout: idleTimeout, End: at(30),
		States:   []timeline.State{{At: at(0), Replicas: 1, Pods: 1, Ready: 1}, {At: at(10)}, {At: at(20), Replicas: 1, Pods: 1}},
		Requests: []timeline.Request{{At: at(1), Took: time.Millisecond}, {At: at(19), Took: 2 * time.Second}},
	}
	part := whole
	part.Requests = nil
	for _, tt := range []struct {
		name      string
		recording *timeline.Recording
		want      bool
		err       string
	}{
		{"whole", &whole, true, ""},
		{"a part", &part, false, "draw: recording of web: nobody asked"},
		{"none", nil, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			d := &demo{screen: &screen{out: &out, width: func() int { return 200 }}, svg: filepath.Join(t.TempDir(), "demo.svg")}
			if tt.recording != nil {
				d.recorder = newRecorder(fake.NewClientset(), "web")
				d.recorder.recording, d.recorder.stopped = *tt.recording, true
			}
			err := d.draw()
			if got := err != nil; got != (tt.err != "") || got && !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			picture, err := os.ReadFile(d.svg)
			if got := err == nil; got != tt.want || got != strings.HasPrefix(string(picture), "<svg ") || got != strings.Contains(out.String(), d.svg) {
				t.Errorf("file: %v, want one: %t; said %q:\n%s", err, tt.want, out.String(), picture)
			}
		})
	}
}
