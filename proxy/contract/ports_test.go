package contract

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestPortsAreReadAsWritten(t *testing.T) {
	tests := []struct {
		written string
		want    Ports
	}{
		{"", Ports{}},
		{"80:20001", Ports{80: 20001}},
		{"443:20002,80:20001", Ports{80: 20001, 443: 20002}},
		{"1:20000,65535:29999", Ports{1: 20000, 65535: 29999}},
	}
	for _, tt := range tests {
		t.Run(tt.written, func(t *testing.T) {
			got, err := ParsePorts(tt.written)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkPorts(t, got)
		})
	}
	if got, want := (Ports{443: 20002, 80: 20001, 9090: 20003}).String(), "80:20001,443:20002,9090:20003"; got != want {
		t.Errorf("String: %q, want %q, in the order of the Service ports", got, want)
	}
}

func TestBadPortsAreRefused(t *testing.T) {
	for _, s := range []string{
		"80", ":", "80:", ":20001", "80:20001,", ",80:20001", "80:20001,,443:20002", "a:20001", "80:b",
		"0:20001", "65536:20001", "-1:20001", "+80:20001", "80:19999", "80:30000", "80:0", "80:8080",
		"80:20001,80:20002", // a port twice
		"80:20001,81:20001", // a slot twice
		"80:20001:1", "80: 20001", "80:20001 ", "80:85537",
	} {
		got, err := ParsePorts(s)
		var bad *ValueError
		if !errors.As(err, &bad) {
			t.Errorf("ParsePorts(%q) = %v, %v, want a ValueError", s, got, err)
			continue
		}
		for _, part := range []string{PortsKey, s, "20000-29999"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("ParsePorts(%q): %q does not name %q", s, err, part)
			}
		}
	}
}

// checkPorts checks what holds for all Ports that were parsed.
func checkPorts(t *testing.T, ports Ports) {
	t.Helper()
	seen := map[int32]bool{}
	for port, slot := range ports {
		if port < 1 || port > 65535 || !InPortRange(slot) || seen[slot] {
			t.Errorf("%v: port %d has slot %d", ports, port, slot)
		}
		seen[slot] = true
	}
	again, err := ParsePorts(ports.String())
	if err != nil {
		t.Fatalf("ParsePorts(%q): %v", ports.String(), err)
	}
	if diff := cmp.Diff(ports, again); diff != "" {
		t.Errorf("not the same after String (-before +after):\n%s", diff)
	}
}

func TestPortRangeIncludesItsEnds(t *testing.T) {
	for port, want := range map[int32]bool{19999: false, 20000: true, 29999: true, 30000: false, -20001: false} {
		if got := InPortRange(port); got != want {
			t.Errorf("InPortRange(%d) = %t, want %t", port, got, want)
		}
	}
	if InPortRange(AdminPort) {
		t.Error("the admin port may be allocated to a Service")
	}
}

func TestListeningAcknowledgesOnlyWhatIsOpen(t *testing.T) {
	open := Listening{"a": {20002, 20001}, "b": {}}
	tests := []struct {
		name  string
		uid   types.UID
		ports Ports
		want  bool
	}{
		{"all ports", "a", Ports{80: 20001, 443: 20002}, true},
		{"one of the ports", "a", Ports{80: 20001}, true},
		{"one port missing", "a", Ports{80: 20001, 443: 20003}, false},
		{"another Service's port", "b", Ports{80: 20001}, false},
		{"unknown Service", "c", Ports{80: 20001}, false},
		{"nothing allocated", "c", nil, true},
	}
	for _, tt := range tests {
		if got := open.Acknowledges(tt.uid, tt.ports); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestListeningIsReadBackAndEqualContentsGiveEqualStrings(t *testing.T) {
	a := Listening{"x": {20003, 20001, 20002}, "y": {20004}}
	b := Listening{"y": {20004}, "x": {20002, 20003, 20001}}
	if a.String() != b.String() {
		t.Errorf("%s and %s differ", a.String(), b.String())
	}
	got, err := ParseListening(a.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := ParseListening(""); err != nil || len(got) != 0 {
		t.Errorf("empty: %v, %v, want nothing open", got, err)
	}
	for _, s := range []string{"{", "[]", `{"x":1}`, `{"x":["a"]}`, `{"x":[3000000000]}`} {
		_, err := ParseListening(s)
		if err == nil || !strings.Contains(err.Error(), ListeningKey) {
			t.Errorf("ParseListening(%q): %v, want an error that names %s", s, err, ListeningKey)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"", "80:20001", "80:20001,443:20002", "080:20001", "80:20001,80:20002", "80:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ports, err := ParsePorts(s); err == nil {
			checkPorts(t, ports)
		}
	})
}
