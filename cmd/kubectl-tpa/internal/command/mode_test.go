//go:build integration

package command

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

func (s *shop) annotation(service, key string) string {
	s.Helper()
	svc := &corev1.Service{}
	s.must(server.Admin.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: service}, svc))
	return svc.Annotations[key]
}

// TestPauseAndResume: the annotation comes and goes, also where the namespace has a mode.
func TestPauseAndResume(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.state("web", sleep.State{Phase: sleep.Awake, Since: time.Now()}, nil)
	if got := s.does("resume", "web", "--wait", "--timeout=20s"); got != "service/web is not paused\n" {
		t.Errorf("%q", got)
	}
	if got := s.does("pause", "web"); got != "service/web paused\n" || s.annotation("web", contract.ModeKey) != "paused" {
		t.Errorf("%q, %q", got, s.annotation("web", contract.ModeKey))
	}
	s.contains(s.does("status"), "paused")
	s.contains(s.does("explain", "web"), "kubectl tpa resume web -n "+s.ns)
	s.fails("", `error: service "web" does not sleep, being paused: kubectl tpa explain web -n `+s.ns, "sleep", "web")
	s.fails("", "timed out waiting until it is awake: service/web is Waking", "pause", "web", "--wait", "--timeout=1s")
	if got := s.does("resume", "web", "--wait"); got != "service/web resumed\n" || s.annotation("web", contract.ModeKey) != "" {
		t.Errorf("%q, %q", got, s.annotation("web", contract.ModeKey))
	}

	ns := &corev1.Namespace{}
	s.must(server.Admin.Get(t.Context(), client.ObjectKey{Name: s.ns}, ns))
	ns.Annotations = map[string]string{contract.ModeKey: "paused"}
	s.must(server.Admin.Update(t.Context(), ns))
	if got := s.does("resume", "web"); got != "service/web resumed\n" || s.annotation("web", contract.ModeKey) != "sleep" {
		t.Errorf("in a paused namespace: %q, %q", got, s.annotation("web", contract.ModeKey))
	}
}

// TestResumeBringsBackWhatWas: to pause and resume a Service leaves it as it was, also where the namespace says something else. That
// goes through TPA's admission.
func TestResumeBringsBackWhatWas(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.state("web", sleep.State{Phase: sleep.Awake, Since: time.Now()}, nil)
	for _, tt := range []struct{ namespace, before, value, paused, resumed string }{
		{"", "", "paused", "paused", "resumed"},
		{"", "observe", "paused,observe", "paused, and no longer only observed", "resumed, and only observed"},
		{"", "sleep", "paused,sleep", "paused", "resumed"},
		{"observe", "", "paused", "paused, and no longer only observed", "resumed, and only observed"},
		{"observe", "sleep", "paused,sleep", "paused", "resumed"},
		{"paused", "observe", "paused,observe", "paused, and no longer only observed", "resumed, and only observed"},
	} {
		ns, svc := &corev1.Namespace{}, &corev1.Service{}
		s.must(server.Admin.Get(t.Context(), client.ObjectKey{Name: s.ns}, ns))
		s.must(server.Admin.Get(t.Context(), client.ObjectKey{Namespace: s.ns, Name: "web"}, svc))
		for o, mode := range map[client.Object]string{ns: tt.namespace, svc: tt.before} {
			annotations := o.GetAnnotations()
			if annotations == nil {
				annotations = map[string]string{}
			}
			delete(annotations, contract.ModeKey)
			if mode != "" {
				annotations[contract.ModeKey] = mode
			}
			o.SetAnnotations(annotations)
			s.must(server.Admin.Update(t.Context(), o))
		}
		if got := s.does("pause", "web"); got != "service/web "+tt.paused+"\n" || s.annotation("web", contract.ModeKey) != tt.value {
			t.Errorf("%+v: %q, %q", tt, got, s.annotation("web", contract.ModeKey))
		}
		if got := s.does("pause", "web"); got != "service/web is paused already\n" {
			t.Errorf("%+v: %q", tt, got)
		}
		if got := s.does("resume", "web"); got != "service/web "+tt.resumed+"\n" || s.annotation("web", contract.ModeKey) != tt.before {
			t.Errorf("%+v: %q, %q", tt, got, s.annotation("web", contract.ModeKey))
		}
	}
}

// TestSleep: the request has the present time, and is not made if it would come to nothing.
func TestSleep(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.pod("web-0", map[string]string{"app": "web"})
	s.pod("tpa-proxy-a", contract.ProxySelector())
	state := sleep.State{Phase: sleep.Awake, Since: time.Now(), Claims: map[string]sleep.Claim{"tpa-proxy-a": {}}}
	s.state("web", state, nil)
	usage := func(open int) {
		s.lease(contract.PodLease("tpa-proxy-a"), contract.LeaseProxy, map[string]string{contract.UsageKey: contract.Usage{
			At: time.Now(), Services: map[string]contract.ServiceUsage{"web": {Open: open}},
		}.String()})
	}
	usage(2)
	s.fails("", `error: service "web" is in use, with connections open or held: 2: kubectl tpa explain web`, "sleep", "web")
	usage(0)
	before := time.Now().Add(-time.Second)
	if got := s.does("sleep", "web"); got != "service/web asked to sleep\n" {
		t.Errorf("%q", got)
	}
	settings, err := contract.Parse(map[string]string{
		contract.TargetKey: "web", contract.SleepRequestedKey: s.annotation("web", contract.SleepRequestedKey),
	}, contract.Defaults{})
	if err != nil || settings.SleepRequested.Before(before) || settings.SleepRequested.After(time.Now()) {
		t.Errorf("requested at %s, %v", settings.SleepRequested, err)
	}
	s.fails("", "timed out waiting until it is asleep: service/web is Awake", "sleep", "web", "--wait", "--timeout=1s")

	state.NotBefore = time.Now().Add(10*time.Minute + 30*time.Second)
	s.state("web", state, nil)
	s.contains(s.does("sleep", "web"), "service/web asked to sleep, which it does not before "+state.NotBefore.UTC().Format(time.RFC3339)+" (in 10m): ")

	s.app("db", 0)
	s.state("db", sleep.State{Phase: sleep.Asleep, Since: time.Now()}, nil)
	if got := s.does("sleep", "db", "--wait"); got != "service/db is asleep already\n" {
		t.Errorf("%q", got)
	}
}

// TestModeNeedsTheRightToScale: TPA's admission asks for it, and what it says is shown.
func TestModeNeedsTheRightToScale(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.state("web", sleep.State{Phase: sleep.Awake, Since: time.Now()}, nil)
	user := s.user(
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"list", "get", "patch"}},
	)
	got := s.run(t.Context(), user, &buffer{}, "pause", "web")
	if got.code != 1 || !strings.Contains(got.err, "Error from server (Forbidden): ") || !strings.Contains(got.err, "may not update deployments.apps/scale") {
		t.Errorf("%+v", got)
	}
}
