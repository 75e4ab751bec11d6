package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// woken is the line that a proxy writes for a wake. Times are in seconds, since 1970 where they are no durations.
type woken struct {
	Message string   `json:"msg"`
	Held    float64  `json:"held"`
	Decide  *float64 `json:"decide"`
	Scale   *float64 `json:"scale"`
	Ready   *float64 `json:"ready"`
	Notice  *float64 `json:"notice"`
	Dial    *float64 `json:"dial"`
}

// woken waits for the lines of so many wakes that began after a time, one for each app.
func (w *world) woken(ctx context.Context, wakes int, after time.Time) ([]woken, error) {
	var found []woken
	err := kit.Wait(ctx, 30*time.Second, "the proxies to log each wake", func(ctx context.Context) (bool, string) {
		var err error
		found, err = w.logged(ctx, after)
		return err == nil && len(found) == wakes, fmt.Sprintf("%d lines of %d, %v", len(found), wakes, err)
	})
	return found, err
}

// logged reads the lines of wakes that began after a time.
func (w *world) logged(ctx context.Context, after time.Time) ([]woken, error) {
	var proxies corev1.PodList
	if err := w.List(ctx, &proxies, client.InNamespace(w.namespace), kit.ProxyLabels); err != nil {
		return nil, err
	}
	var found []woken
	for _, p := range proxies.Items {
		log, err := w.Log(ctx, &p, after)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(log) {
			var l woken
			if json.Unmarshal([]byte(line), &l) != nil || l.Message != "target: woken" || seconds(l.Held).Before(after) {
				continue
			}
			if err := l.complete(); err != nil {
				return nil, err
			}
			found = append(found, l)
		}
	}
	return found, nil
}

// complete fails if a stage is missing: another proxy has had a part in the wake.
func (l woken) complete() error {
	if l.Decide == nil || l.Scale == nil || l.Ready == nil || l.Notice == nil || l.Dial == nil {
		return fmt.Errorf("a stage is missing: %+v", l)
	}
	return nil
}

// stages joins what the proxy measured from when it held the connection with what others saw, by the clock that all
// programs on a machine share.
func (l woken) stages(began time.Time, pod podTimes, first time.Time) stages {
	held := seconds(l.Held)
	scaled := held.Add(duration(*l.Decide + *l.Scale))
	dialed := held.Add(duration(*l.Decide + *l.Scale + *l.Ready + *l.Notice))
	return stages{
		accept: held.Sub(began), decide: duration(*l.Decide), scale: duration(*l.Scale),
		schedule: pod.scheduled.Sub(scaled), start: pod.started.Sub(pod.scheduled), ready: pod.ready.Sub(pod.started),
		notice: dialed.Sub(pod.ready), dial: first.Sub(dialed),
	}
}

func seconds(since1970 float64) time.Time { return time.Unix(0, 0).Add(duration(since1970)) }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
