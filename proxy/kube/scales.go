package kube

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Scales are the /scale subresources of workloads of any kind. Which version of a kind has one is asked of the API server
// when the first of that kind is needed, and remembered.
type Scales struct {
	rest rest.Interface

	mu    sync.Mutex
	kinds map[schema.GroupResource]scaleKind
}

// Get reads the scale of a workload. The error of a kind that does not exist, or has no scale, is a
// meta.NoResourceMatchError.
func (s *Scales) Get(ctx context.Context, namespace string, of schema.GroupResource, name string) (*autoscalingv1.Scale, error) {
	kind, err := s.kind(ctx, of)
	if err != nil {
		return nil, err
	}
	return result(ctx, request(s.rest.Get(), kind, namespace, of, name))
}

// Update writes the replicas of a scale that still has the given resourceVersion, and returns it as it is then.
func (s *Scales) Update(ctx context.Context, of schema.GroupResource, scale *autoscalingv1.Scale, manager string) (*autoscalingv1.Scale, error) {
	kind, err := s.kind(ctx, of)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(&autoscalingv1.Scale{
		TypeMeta:   metav1.TypeMeta{APIVersion: kind.body.String(), Kind: "Scale"},
		ObjectMeta: scale.ObjectMeta,
		Spec:       scale.Spec,
	})
	if err != nil {
		return nil, fmt.Errorf("scale %s/%s: %w", scale.Namespace, scale.Name, err)
	}
	put := s.rest.Put().SetHeader("Content-Type", runtime.ContentTypeJSON).Param("fieldManager", manager).Body(body)
	return result(ctx, request(put, kind, scale.Namespace, of, scale.Name))
}

func request(r *rest.Request, kind scaleKind, namespace string, of schema.GroupResource, name string) *rest.Request {
	return r.AbsPath("/apis", of.Group, kind.version).Namespace(namespace).Resource(of.Resource).Name(name).SubResource("scale")
}

// result reads an answer as autoscaling/v1.
func result(ctx context.Context, r *rest.Request) (*autoscalingv1.Scale, error) {
	data, err := r.SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var got struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              autoscalingv1.ScaleSpec
		Status            struct {
			Replicas       int32
			Selector       selector
			TargetSelector string // what extensions/v1beta1 calls the selector as text
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		return nil, fmt.Errorf("read scale: %w", err)
	}
	return &autoscalingv1.Scale{
		ObjectMeta: got.ObjectMeta, Spec: got.Spec, Status: autoscalingv1.ScaleStatus{
			Replicas: got.Status.Replicas, Selector: cmp.Or(got.Status.TargetSelector, string(got.Status.Selector)),
		},
	}, nil
}

// selector is text, and a set of labels in extensions/v1beta1.
type selector string

// UnmarshalJSON implements json.Unmarshaler.
func (s *selector) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("{")) {
		var set labels.Set
		err := json.Unmarshal(data, &set)
		*s = selector(set.String())
		return err
	}
	return json.Unmarshal(data, (*string)(s))
}
