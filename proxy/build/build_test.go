package build

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestInfo(t *testing.T) {
	settings := func(kv ...string) (s []debug.BuildSetting) {
		for i := 0; i < len(kv); i += 2 {
			s = append(s, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return s
	}
	for _, tt := range []struct {
		name string
		info debug.BuildInfo
		want Info
	}{
		{"nothing is known", debug.BuildInfo{}, Info{"unknown", "unknown", runtime.Version()}},
		{"no repository", debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "(devel)"}}, Info{"unknown", "unknown", "go1.26.1"}},
		{"a release", debug.BuildInfo{
			GoVersion: "go1.26.1", Main: debug.Module{Version: "v0.2.0"}, Settings: settings("vcs.revision", "abc", "vcs.modified", "false"),
		}, Info{"v0.2.0", "abc", "go1.26.1"}},
		{"changes", debug.BuildInfo{
			GoVersion: "go1.26.1", Main: debug.Module{Version: "v0.2.1-0.x"}, Settings: settings("vcs.modified", "true", "vcs.revision", "abc"),
		}, Info{"v0.2.1-0.x", "abc-dirty", "go1.26.1"}},
	} {
		if got := of(&tt.info); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestCollector(t *testing.T) {
	c := NewCollector()
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if got := testutil.ToFloat64(c); got != 1 {
		t.Errorf("%g, want 1", got)
	}
}
