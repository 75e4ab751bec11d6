package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

const written = `{"metadata":{"name":"web","labels":{"app":"web"}},` +
	`"spec":{"clusterIP":"198.18.0.7","ports":[{"port":80,"targetPort":"http"}],"selector":{"app":"web"}}}`

func snap(t *testing.T, raw string) snapshot {
	t.Helper()
	var service corev1.Service
	if err := json.Unmarshal([]byte(raw), &service); err != nil {
		t.Fatal(err)
	}
	s, err := newSnapshot(&service, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestChanged(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		want           []string // each a part of one difference
	}{
		{"nothing", "", "", nil},
		{"a selector", `"selector":{"app":"web"}`, `"selector":{"app":"other"}`, []string{"the spec"}},
		{"a type that means the same", `"targetPort":"http"`, `"targetPort":8080`, []string{"the spec"}},
		{"a default spelled out", `"port":80,`, `"port":80,"protocol":"TCP",`, []string{"the spec"}},
		{"order, which only bytes show", `"clusterIP":"198.18.0.7","ports":[{"port":80,"targetPort":"http"}]`,
			`"ports":[{"port":80,"targetPort":"http"}],"clusterIP":"198.18.0.7"`, []string{"the spec"}},
		{"a label of TPA left", `{"app":"web"}},`, `{"app":"web","tpa.dev/managed":"true"}},`,
			[]string{`label tpa.dev/managed was not there, now "true"`}},
		{"a label lost", `"labels":{"app":"web"}`, `"labels":{}`, []string{`label app was "web", now gone`}},
		{"a label changed", `"labels":{"app":"web"}`, `"labels":{"app":"x"}`, []string{`label app was "web", now "x"`}},
		{"an annotation of TPA left", `"name":"web",`, `"name":"web","annotations":{"tpa.dev/phase":"Active"},`,
			[]string{`annotation tpa.dev/phase was not there`}},
		{"an annotation of the user's", `"name":"web",`, `"name":"web","annotations":{"tpa.dev/idle-timeout":"5s"},`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := strings.Replace(written, tt.old, tt.new, 1)
			if tt.old != "" && now == written {
				t.Fatalf("%s is not in the Service", tt.old)
			}
			got := snap(t, written).changed(snap(t, now))
			if len(got) != len(tt.want) {
				t.Fatalf("got %d differences, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("difference %q does not say %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestSideBySide(t *testing.T) {
	now := strings.NewReplacer(`"targetPort":"http"`, `"targetPort":20001`, `{"app":"web"}}}`, `{"tpa.dev/proxy":"tpa-proxy"}}}`,
		`"name":"web"`, `"name":"web","annotations":{"tpa.dev/phase":"Active"}`).Replace(written)
	want := []row{
		{"selector", "app=web", "tpa.dev/proxy=tpa-proxy"},
		{"port 80 -> targetPort", "http", "20001"},
		{"clusterIP", "198.18.0.7", "198.18.0.7"},
		{"tpa.dev/phase", "-", "Active"},
	}
	if diff := cmp.Diff(want, sideBySide(snap(t, written).service, snap(t, now).service), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
