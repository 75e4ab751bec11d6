package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestStateRoundTrip(t *testing.T) {
	c := &cluster{dir: t.TempDir()}
	if s, err := c.loadState(); s != nil || err != nil {
		t.Fatalf("without a file: %v, %v; want nothing", s, err)
	}
	want := &state{
		Nodes: 2, Complete: true, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Cache: "/c",
		Made: []string{"/var/lib/kubelet"}, Sysctls: map[string]string{"kernel/panic": "0"},
		Processes: []process{{Name: "etcd", PID: 7, Start: 8, Log: "/l"}},
	}
	if err := c.saveState(want); err != nil {
		t.Fatal(err)
	}
	got, err := c.loadState()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("loadState = %+v, %v; want %+v", got, err, want)
	}
	if err := os.WriteFile(c.path("state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.loadState(); err == nil {
		t.Error("a damaged state is read without an error")
	}
}

func TestFindCluster(t *testing.T) {
	root := t.TempDir()
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(root, "test/cluster")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, module := range map[string]string{root: "tpa.dev/tpa", inner: "tpa.dev/tpa/test/cluster"} {
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(inner)
	t.Setenv("TPA_CLUSTER_DIR", "")
	c, err := findCluster()
	if err != nil || c.root != root || c.dir != filepath.Join(root, ".cluster") {
		t.Errorf("findCluster = %+v, %v; want root %s", c, err, root)
	}
	t.Setenv("TPA_CLUSTER_DIR", "/elsewhere")
	if c, err := findCluster(); err != nil || c.root != root || c.dir != "/elsewhere" {
		t.Errorf("with TPA_CLUSTER_DIR: %+v, %v", c, err)
	}
}

func TestIsDebian(t *testing.T) {
	for release, want := range map[string]bool{
		"ID=debian\n":                        true,
		"NAME=x\nID=ubuntu\nID_LIKE=debian":  true,
		"ID=mint\nID_LIKE=\"ubuntu debian\"": true,
		"ID=fedora\n":                        false,
		"NAME=debian\n":                      false,
		"":                                   false,
	} {
		if got := isDebian(release); got != want {
			t.Errorf("isDebian(%q) = %v, want %v", release, got, want)
		}
	}
}

func TestHasCondition(t *testing.T) {
	object := []byte(`{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Full","status":"False","message":"m"}]}}`)
	if err := hasCondition(object, "Ready"); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"Full", "Other"} {
		if hasCondition(object, kind) == nil {
			t.Errorf("%s counts as true", kind)
		}
	}
}
