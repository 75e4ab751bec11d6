package main

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"tpa.dev/tpa/proxy/contract"
)

func TestPlan(t *testing.T) {
	p := wholePlan()
	if len(p.services) != 20 || len(p.targets) != 12 {
		t.Errorf("%d Services on %d targets", len(p.services), len(p.targets))
	}
	used := map[string]int{}
	spoken := map[string]bool{}
	for _, s := range p.services {
		object := p.service(s, "soak")
		settings, err := contract.Parse(object.Annotations, contract.Defaults{})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if len(settings.Targets) != len(s.targets) || settings.IdleTimeout < 2*time.Second || settings.IdleTimeout > 5*time.Second {
			t.Errorf("%s: %+v", s.name, settings)
		}
		if protocols[s.protocol] == nil {
			t.Errorf("%s: no protocol %q", s.name, s.protocol)
		}
		spoken[s.protocol] = true
		for _, target := range s.targets {
			used[target]++
		}
		// It selects the pods of its targets and of no other.
		selector := labels.SelectorFromSet(object.Spec.Selector)
		for _, target := range p.targets {
			d := p.deployment(target, "soak")
			if got, want := selector.Matches(labels.Set(d.Spec.Template.Labels)), slices.Contains(s.targets, target.name); got != want {
				t.Errorf("%s selects pods of %s: %t", s.name, target.name, got)
			}
		}
	}
	if len(spoken) != len(protocols) {
		t.Errorf("spoken: %v", spoken)
	}
	shared := 0
	for _, n := range used {
		if n > 1 {
			shared++
		}
	}
	if len(used) != len(p.targets) || shared < 3 {
		t.Errorf("%d targets are used, %d shared", len(used), shared)
	}
}

func TestGroups(t *testing.T) {
	in := map[string]int{}
	groups := wholePlan().groups()
	for i, g := range groups {
		for _, s := range g {
			for _, target := range s.targets {
				if other, ok := in[target]; ok && other != i {
					t.Errorf("target %s is in two groups", target)
				}
				in[target] = i
			}
		}
	}
	if len(groups) != 11 || in["duo-a"] != in["duo-b"] {
		t.Errorf("%d groups: %v", len(groups), in)
	}
}
