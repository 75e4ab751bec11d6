package view

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/printers"
)

// golden compares an output with a file; GOLDEN=write has it written.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestStatusAsItIsPrinted(t *testing.T) {
	for name, options := range map[string]printers.PrintOptions{
		"status.txt": {}, "status-wide.txt": {Wide: true, WithNamespace: true},
	} {
		var out bytes.Buffer
		if err := printers.NewTablePrinter(options).PrintObj(Table(everything().List()), &out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
	objects, err := Objects(everything().List()[:4], false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&printers.YAMLPrinter{}).PrintObj(objects, &out); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.yaml", out.String())
}

func TestExplanationsAsTheyArePrinted(t *testing.T) {
	for _, name := range []string{"web", "api", "db", "slow", "seen", "fresh", "still", "new", "lost", "trial", "kept", "late", "soon"} {
		e, found := everything().Explain(name)
		if !found {
			t.Fatalf("no service %s", name)
		}
		var out bytes.Buffer
		if err := e.Write(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, "explain-"+name+".txt", out.String())
	}
	if _, found := everything().Explain("none"); found {
		t.Error("a Service that does not exist is explained")
	}
}
