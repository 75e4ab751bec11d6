package view

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// troubles has a world for each row of the README's table, in which Service web stands so.
func troubles() map[string]world {
	active := func(replicas int32, ready int, annotations ...string) world {
		return shop().app("web", replicas, ready).service("web", contract.Active, append([]string{contract.TargetKey, "web"}, annotations...)...)
	}
	awake := sleep.State{Phase: sleep.Awake, Since: ago(time.Hour)}
	used := sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a")}
	noImage := func(container string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"},
			}}}
		}
	}
	pods := map[string]string{"app": "web"}

	left := shop().service("web", "", contract.TargetKey, "web")
	left.Meta.Labels = nil
	unserved := shop().service("web", contract.Pending, contract.TargetKey, "web")
	unserved.Proxy.Status.ReadyReplicas, unserved.Pods = 0, nil
	unserved.pod("tpa-proxy-a", contract.ProxySelector(), false, noImage(contract.ProxyContainer))
	seen := active(1, 1).state("web", awake, nil).service("debug", "")
	seen.Services[1].Spec.Selector = pods
	missing := shop().service("web", contract.Active, contract.TargetKey, "web")
	missing.Scales[deployment("web")] = Scale{Missing: true}
	powerless := active(1, 1).state("web", awake, nil)
	powerless.ProxyMayScale = map[contract.Target]bool{deployment("web"): false}
	return map[string]world{
		"not opted in":    left,
		"not taken over":  unserved,
		"kept by another": seen,
		"missing":         missing,
		"no right":        powerless,
		"connected": active(2, 2).state("web", used, nil).usage("tpa-proxy-a", map[string]contract.ServiceUsage{"web": {
			Open: 1, Oldest: []contract.ConnectionUsage{{From: "10.244.1.9:41000", Port: 80, Since: ago(12 * time.Minute)}},
		}}),
		"settling":     active(1, 1).state("web", sleep.State{Phase: sleep.Awake, Since: ago(15 * time.Minute), NotBefore: noon.Add(7 * time.Minute)}, nil),
		"contested":    active(1, 1).state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Reverted: sleep.MaxReverted}, nil),
		"paused":       active(1, 1, contract.ModeKey, "paused").state("web", used, nil),
		"observed":     active(1, 1, contract.ModeKey, "observe").state("web", awake, nil),
		"no image":     active(1, 0).state("web", used, nil).pod("web-0", pods, false, noImage("app")),
		"no quota":     active(1, 0).state("web", used, nil).event("ReplicaSet", "web-5d4f", "FailedCreate", "exceeded quota: small", ago(time.Minute)),
		"not by these": active(0, 0, contract.WakeOnKey, "data", contract.PassivePortsKey, "9090").state("web", sleep.State{Phase: sleep.Asleep, Replicas: 1}, nil),
		"not restored": shop().app("web", 1, 0).service("web", contract.Restoring),
	}
}

// TestTroubles: what the README's table says that `kubectl tpa explain` prints is printed, and each trouble is in the table.
func TestTroubles(t *testing.T) {
	said := map[string]string{}
	for name, w := range troubles() {
		e, found := w.Explain("web")
		var out bytes.Buffer
		if err := e.Write(&out); err != nil || !found {
			t.Fatalf("%s: %v", name, err)
		}
		said[name] = out.String()
	}
	quoted := map[string]bool{}
	for _, line := range quotes(t) {
		if strings.HasPrefix(line, "✗ ") {
			continue // of kubectl tpa check, whose own test looks for it
		}
		found := false
		for name, text := range said {
			if strings.Contains(text, line) {
				found, quoted[name] = true, true
			}
		}
		if !found {
			t.Errorf("nothing prints %q", line)
		}
	}
	for name, text := range said {
		if !quoted[name] {
			t.Errorf("%s: the table quotes nothing of\n%s", name, text)
		}
	}
}

// quotes are the code in the second column of the README's table of troubles.
func quotes(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var lines []string
	for row := range strings.Lines(section) {
		cells := strings.Split(row, " | ")
		if len(cells) != 3 || !strings.HasPrefix(row, "| ") {
			continue
		}
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			lines = append(lines, code[1])
		}
	}
	if len(lines) < 10 {
		t.Fatalf("the README's table of troubles quotes only %q", lines)
	}
	return lines
}
