package contract

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestTargetSpellingsOfOneWorkloadAreOneTarget(t *testing.T) {
	web := Target{Resource: "deployments", Group: "apps", Name: "web"}
	db := Target{Resource: "statefulsets", Group: "apps", Name: "db"}
	rs := Target{Resource: "replicasets", Group: "apps", Name: "web"}
	rollout := Target{Resource: "rollouts", Group: "argoproj.io", Name: "web"}
	tests := []struct {
		written   string
		want      Target
		canonical string
		lease     string
	}{
		{"web", web, "deployment/web", "tpa-deployments-web"},
		{" web ", web, "deployment/web", "tpa-deployments-web"},
		{"deployment/web", web, "deployment/web", "tpa-deployments-web"},
		{"Deployment/web", web, "deployment/web", "tpa-deployments-web"},
		{"deployments/web", web, "deployment/web", "tpa-deployments-web"},
		{"deploy/web", web, "deployment/web", "tpa-deployments-web"},
		{"deployment.apps/web", web, "deployment/web", "tpa-deployments-web"},
		{"deployments.apps/web", web, "deployment/web", "tpa-deployments-web"},
		{"statefulset/db", db, "statefulset/db", "tpa-statefulsets-db"},
		{"statefulsets.apps/db", db, "statefulset/db", "tpa-statefulsets-db"},
		{"sts/db", db, "statefulset/db", "tpa-statefulsets-db"},
		{"rs/web", rs, "replicaset/web", "tpa-replicasets-web"},
		{"replicaset/web", rs, "replicaset/web", "tpa-replicasets-web"},
		{"rollouts.argoproj.io/web", rollout, "rollouts.argoproj.io/web", "tpa-rollouts.argoproj.io-web"},
		{"web.v2", Target{"deployments", "apps", "web.v2"}, "deployment/web.v2", "tpa-deployments-web.v2"},
	}
	for _, tt := range tests {
		t.Run(tt.written, func(t *testing.T) {
			got, err := ParseTarget(tt.written)
			if err != nil || got != tt.want {
				t.Fatalf("ParseTarget(%q) = %+v, %v, want %+v", tt.written, got, err, tt.want)
			}
			if got.String() != tt.canonical || got.Lease() != tt.lease {
				t.Errorf("String %q, Lease %q, want %q, %q", got.String(), got.Lease(), tt.canonical, tt.lease)
			}
			checkTarget(t, got)
		})
	}
}

func TestTargetsThatCannotBeAreRefused(t *testing.T) {
	tests := []struct{ written, named string }{
		{"", `""`},
		{"deployment/", `""`},
		{"/web", `"" is not a kind`},
		{"Web", `"Web"`},
		{"deployment/a/b", `"a/b"`},
		{"deployment/" + strings.Repeat("a", maxTargetName+1), "is not the name"},
		{"pod/web", `"pod" is not a kind`},
		{"rollouts/web", `"rollouts" is not a kind`},
		{"rollouts./web", `"rollouts" is not a kind`},
		{".argoproj.io/web", `".argoproj.io" is not a kind`},
		{"Rollouts.argoproj.io/web", `"Rollouts.argoproj.io"`},
		{"rollouts.argoproj_io/web", `"rollouts.argoproj_io"`},
		// The group apps has no other scalable kinds, and "tpa-proxy-..." is the Lease of a proxy pod.
		{"daemonsets.apps/web", `"daemonsets.apps" is not a kind`},
		{"proxy.apps/web", `"proxy.apps" is not a kind`},
		{"things." + strings.Repeat("a.", 100) + "io/" + strings.Repeat("a", maxTargetName), "is not a kind"},
	}
	for _, tt := range tests {
		t.Run(tt.written, func(t *testing.T) {
			got, err := ParseTarget(tt.written)
			if err == nil {
				t.Fatalf("ParseTarget(%q) = %+v, want an error", tt.written, got)
			}
			if !strings.Contains(err.Error(), tt.named) {
				t.Errorf("ParseTarget(%q): %q does not name %s", tt.written, err, tt.named)
			}
		})
	}
}

// checkTarget checks what holds for every Target that was parsed.
func checkTarget(t *testing.T, target Target) {
	t.Helper()
	again, err := ParseTarget(target.String())
	if err != nil || again != target {
		t.Errorf("ParseTarget(%q) = %+v, %v, want %+v back", target.String(), again, err, target)
	}
	if errs := validation.IsDNS1123Subdomain(target.Lease()); len(errs) > 0 {
		t.Errorf("Lease %q of %+v: %v", target.Lease(), target, errs)
	}
	if strings.HasPrefix(target.Lease(), PodLease("")) {
		t.Errorf("Lease %q of %+v may be the Lease of a proxy pod", target.Lease(), target)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"web", "deployment/web", "sts/db", "rollouts.argoproj.io/web", "daemonsets.apps/x", "a.b/c", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if target, err := ParseTarget(s); err == nil {
			checkTarget(t, target)
		}
	})
}
