package view

import (
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// What -o json and yaml print: one object for each Service. They exist only there; what is not known is left out.
const (
	ObjectVersion = "cli.tpa.dev/v1"
	ObjectKind    = "ServiceStatus"
)

type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Status            status `json:"status"`
}

type status struct {
	Phase              contract.Phase `json:"phase,omitempty"`
	State              State          `json:"state"`
	Reason             string         `json:"reason,omitempty"`
	Ready              *int32         `json:"ready,omitempty"`
	Desired            *int32         `json:"desired,omitempty"`
	Connections        *connections   `json:"connections,omitempty"`
	InUse              bool           `json:"inUse"`
	IdleSince          *time.Time     `json:"idleSince,omitempty"`
	SleepsAt           *time.Time     `json:"sleepsAt,omitempty"`
	StaysAwake         string         `json:"staysAwake,omitempty"`
	Mode               string         `json:"mode"`
	WouldSleepSince    *time.Time     `json:"wouldSleepSince,omitempty"`
	IdleTimeoutSeconds float64        `json:"idleTimeoutSeconds"`
	Proxies            *proxies       `json:"proxies,omitempty"`
	Targets            []targetStatus `json:"targets"`
}

type connections struct {
	Open   int `json:"open"`
	Held   int `json:"held"`
	Silent int `json:"silent"`
}

type proxies struct {
	Ready   int32 `json:"ready"`
	Desired int32 `json:"desired"`
}

type targetStatus struct {
	Target  string            `json:"target"`
	State   State             `json:"state"`
	Ready   *int32            `json:"ready,omitempty"`
	Desired *int32            `json:"desired,omitempty"`
	Lease   *sleep.State      `json:"lease,omitempty"`
	History *contract.History `json:"history,omitempty"`
}

// Objects returns the objects of Services, or the one's alone.
func Objects(services []Service, alone bool) (runtime.Object, error) {
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	for _, s := range services {
		content, err := json.Marshal(s.object())
		var item unstructured.Unstructured
		if err == nil {
			err = item.UnmarshalJSON(content)
		}
		if err != nil {
			return nil, fmt.Errorf("show service %s/%s: %w", s.Namespace, s.Name, err)
		}
		list.Items = append(list.Items, item)
	}
	if alone && len(list.Items) == 1 {
		return &list.Items[0], nil
	}
	return list, nil
}

// Names returns the Services by name only, as -o name prints them.
func Names(services []Service) []runtime.Object {
	var objects []runtime.Object
	for _, s := range services {
		objects = append(objects, &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		})
	}
	return objects
}

func (s Service) object() *object {
	o := &object{
		TypeMeta:   metav1.TypeMeta{APIVersion: ObjectVersion, Kind: ObjectKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Status: status{
			Phase: s.Phase, State: s.State, Reason: s.Reason, Ready: known(s.Ready), Desired: known(s.Desired), InUse: s.Used,
			IdleSince: set(s.IdleSince), SleepsAt: set(s.SleepsAt), StaysAwake: s.Keeps,
			Mode: s.Mode.String(), WouldSleepSince: set(s.WouldSince),
			IdleTimeoutSeconds: s.IdleTimeout.Seconds(), Targets: []targetStatus{},
		},
	}
	if s.Usage != nil {
		o.Status.Connections = &connections{s.Usage.Open, s.Usage.Held, s.Usage.Parked}
	}
	if s.Proxies >= 0 {
		o.Status.Proxies = &proxies{s.ReadyProxies, s.Proxies}
	}
	for _, t := range s.Targets {
		one := targetStatus{
			Target: t.Target.String(), State: t.State, Ready: known(t.Ready), Desired: known(t.Desired), History: t.History,
		}
		if t.Known {
			one.Lease = &t.Sleep
		}
		o.Status.Targets = append(o.Status.Targets, one)
	}
	return o
}

func known(n int32) *int32 {
	if n < 0 {
		return nil
	}
	return &n
}

func set(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
