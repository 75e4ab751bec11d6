package view

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// TestReadme: what the README shows is what is printed.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := shop()
	w.app("web", 2, 2).service("web", contract.Active, contract.TargetKey, "web", contract.IdleTimeoutKey, "5m")
	w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a")}, &contract.History{
		Sleeps: 4, Wakes: 4, Asleep: 90000, LastWake: &contract.Wake{
			At: ago(50 * time.Minute), Service: "web", From: "10.244.1.9", Outcome: contract.WakeReady, Took: 1.42,
		},
	})
	w.app("api", 1, 1).service("api", contract.Active, contract.TargetKey, "api")
	w.state("api", sleep.State{Phase: sleep.Awake, Since: ago(4 * time.Minute)}, &contract.History{})
	w.app("report", 0, 0).service("report", contract.Active, contract.TargetKey, "report")
	w.state("report", sleep.State{Phase: sleep.Asleep, Since: ago(3 * time.Hour), Replicas: 3, Used: ago(190 * time.Minute)},
		&contract.History{Sleeps: 1})
	w.usage("tpa-proxy-a", map[string]contract.ServiceUsage{"web": {Open: 1, Oldest: []contract.ConnectionUsage{
		{From: "10.244.1.9:41000", Port: 80, Since: ago(12 * time.Minute)},
	}}})

	var out bytes.Buffer
	if err := printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(Table(w.List()), &out); err != nil {
		t.Fatal(err)
	}
	shown := []string{out.String()}
	e, _ := w.Explain("web")
	out.Reset()
	if err := e.writeReasons(&out); err != nil {
		t.Fatal(err)
	}
	for _, text := range append(shown, strings.TrimSpace(out.String())) {
		var block strings.Builder
		for line := range strings.Lines(strings.TrimSpace(text)) {
			block.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		if !strings.Contains(string(readme), block.String()) {
			t.Errorf("the README does not show\n%s", block.String())
		}
	}
}
