// Package proxyobjects says what stands in a namespace that has a managed Service: the proxy's Deployment and what that
// needs. It is pure; the controller applies what it returns.
//
//	objects, err := proxyobjects.Wanted("shop", defaults, config)
//	for _, o := range objects {
//		client.Apply(ctx, o.Configuration(), client.FieldOwner(contract.FieldManager), client.ForceOwnership)
//	}
//
// Each object carries a hash of what was wanted when it was applied, so that finding out whether there is anything to do
// takes no comparison with what the API server and other webhooks made of it, and in the steady state no request.
package proxyobjects

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// HashKey is the annotation that holds the hash of an object as it was applied.
const HashKey = contract.Prefix + "spec-hash"

// What the objects are labelled with. NameLabel and ManagedByLabel together select the proxy's pods: not SelectorKey,
// which is for Services alone.
const (
	NameLabel      = "app.kubernetes.io/name"
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "tpa"
)

// Labels returns the labels of every object, by which they are watched.
func Labels() map[string]string {
	return map[string]string{NameLabel: contract.ProxyName, ManagedByLabel: ManagedBy}
}

// ReservedKeys spells out what Reserved is true of.
const ReservedKeys = NameLabel + ", " + ManagedByLabel + " and " + contract.Prefix + "*"

// Reserved reports whether a label or an annotation of this key is TPA's own, so that nobody else may choose its value.
func Reserved(key string) bool {
	_, own := Labels()[key]
	return own || strings.HasPrefix(key, contract.Prefix)
}

// Object is one object as it should be.
type Object struct {
	// Hash is what an up-to-date object has under HashKey.
	Hash string

	content *unstructured.Unstructured
}

// Kind is the object's kind; there is one object of a kind, except that a namespace has many Leases.
func (o Object) Kind() string { return o.content.GetKind() }

// Configuration is what to apply. It names no field that has no value, so that TPA owns no more than it sets.
func (o Object) Configuration() runtime.ApplyConfiguration {
	return client.ApplyConfigurationFromUnstructured(o.content.DeepCopy())
}

// wanted hashes an object and puts it as what server-side apply takes.
func wanted(object client.Object) (Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return Object{}, fmt.Errorf("convert %s: %w", object.GetName(), err)
	}
	delete(content, "status")
	prune(content)
	data, err := json.Marshal(content) // sorted by key
	if err != nil {
		return Object{}, fmt.Errorf("hash %s: %w", object.GetName(), err)
	}
	sum := sha256.Sum256(data)
	o := Object{Hash: hex.EncodeToString(sum[:8]), content: &unstructured.Unstructured{Object: content}}
	annotations := o.content.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[HashKey] = o.Hash
	o.content.SetAnnotations(annotations)
	return o, nil
}

// prune drops what the Go types spell out although nothing was set: null, {} and [].
func prune(value any) (empty bool) {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		for key, member := range v {
			if prune(member) {
				delete(v, key)
			}
		}
		return len(v) == 0
	case []any:
		for _, item := range v {
			prune(item)
		}
		return len(v) == 0
	}
	return false
}
