package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// snapshot is a Service as the API server sent it.
type snapshot struct {
	service             *corev1.Service
	spec                []byte // as sent, not decoded and encoded again
	labels, annotations map[string]string
}

func newSnapshot(service *corev1.Service, raw []byte) (snapshot, error) {
	var parts struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return snapshot{}, fmt.Errorf("service %s: %w", service.Name, err)
	}
	return snapshot{service, parts.Spec, service.Labels, service.Annotations}, nil
}

// changed tells in which ways a Service is not what it was before; nothing if it is the same: each byte of its spec,
// each label, each annotation. Annotations that users write for TPA are not asked about: TPA leaves them alone.
func (before snapshot) changed(now snapshot) []string {
	var differences []string
	if !bytes.Equal(before.spec, now.spec) {
		differences = append(differences, "the spec (-was +is):\n"+cmp.Diff(pretty(before.spec), pretty(now.spec)))
	}
	differences = append(differences, changedKeys("label", before.labels, now.labels)...)
	return append(differences, changedKeys("annotation", before.annotations, now.annotations)...)
}

func pretty(raw []byte) []string {
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return []string{string(raw)}
	}
	return strings.Split(out.String(), "\n")
}

func changedKeys(kind string, before, now map[string]string) []string {
	var differences []string
	all := maps.Clone(now)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, before)
	for _, key := range contract.UserKeys() {
		delete(all, key)
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := before[key]
		is, has := now[key]
		switch {
		case !had:
			differences = append(differences, fmt.Sprintf("%s %s was not there, now %q", kind, key, is))
		case !has:
			differences = append(differences, fmt.Sprintf("%s %s was %q, now gone", kind, key, was))
		case was != is:
			differences = append(differences, fmt.Sprintf("%s %s was %q, now %q", kind, key, was, is))
		}
	}
	return differences
}

// row is one field of a Service, before and now.
type row struct{ field, before, now string }

// sideBySide are the fields that a reader wants to compare.
func sideBySide(before, now *corev1.Service) []row {
	rows := []row{{"selector", selector(before), selector(now)}}
	for i, port := range before.Spec.Ports {
		is := "-"
		if i < len(now.Spec.Ports) {
			is = now.Spec.Ports[i].TargetPort.String()
		}
		rows = append(rows, row{fmt.Sprintf("port %d -> targetPort", port.Port), port.TargetPort.String(), is})
	}
	return append(rows,
		row{"clusterIP", before.Spec.ClusterIP, now.Spec.ClusterIP},
		row{contract.PhaseKey, phase(before), phase(now)})
}

func selector(s *corev1.Service) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
		pairs = append(pairs, key+"="+s.Spec.Selector[key])
	}
	return strings.Join(pairs, ",")
}

func phase(s *corev1.Service) string {
	if p := s.Annotations[contract.PhaseKey]; p != "" {
		return p
	}
	return "-"
}

// compare shows both, and marks what is different.
func (s *screen) compare(service string, rows []row) {
	field, was := len("Service ")+len(service), len("before")
	for _, r := range rows {
		field, was = max(field, len(r.field)), max(was, len(r.before))
	}
	layout := fmt.Sprintf("  %%-%ds   %%-%ds   ", field, was)
	s.line(indent + s.paint(dim, fmt.Sprintf(layout, "Service "+service, "before")+"now"))
	for _, r := range rows {
		now := r.now
		if r.now != r.before {
			now = s.paint(bold, now)
		}
		s.line(indent + fmt.Sprintf(layout, r.field, r.before) + now)
	}
}
