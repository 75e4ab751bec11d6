package main

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/test/kit"
)

// TestRounds: a round is the way to 0 and back, and nothing else is.
func TestRounds(t *testing.T) {
	for _, test := range []struct {
		name     string
		replicas []int32
		want     int
	}{
		{"to 0 and back, twice", []int32{1, 0, 1, 0, 2}, 2},
		{"not back", []int32{1, 0, 1, 0}, 1},
		{"began at 0", []int32{0, 1}, 0},
		{"status only", []int32{1, 1, 0, 0, 1, 1}, 1},
		{"never 0", []int32{1, 2, 1}, 0},
	} {
		w := &watch{targets: map[string]*targetWatch{"web": {}}}
		for _, n := range test.replicas {
			w.deployment(kit.Change[*appsv1.Deployment]{At: time.Now(), Object: &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &n},
			}})
		}
		if got, _ := w.rounds(); got != test.want {
			t.Errorf("%s: %d rounds, want %d", test.name, got, test.want)
		}
	}
}
