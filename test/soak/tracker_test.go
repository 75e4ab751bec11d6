package main

import (
	"testing"
	"time"

	"tpa.dev/tpa/test/kit"
)

// A line as conntrack tells of a connection, here one that was refused.
const began = "    [NEW] tcp      6 120 SYN_SENT src=198.19.0.2 dst=198.18.3.144 sport=33519 dport=80 [UNREPLIED] " +
	"src=198.18.128.9 dst=198.19.0.2 sport=20001 dport=33519\n"

func TestTrackerKnowsWhereAConnectionWasLed(t *testing.T) {
	tr := &tracker{led: [2]map[origin]string{{}, {}}, turned: time.Now()}
	tr.take("node2", "conntrack v1.4.7 (conntrack-tools)")
	tr.take("node2", began)
	c := connection{from: kit.Node{Name: "node2"}, port: 33519, to: "198.18.3.144:80"}
	if got := translated(tr.of(c)); got != "198.18.128.9" {
		t.Errorf("led to %q", got)
	}
	for name, other := range map[string]connection{
		"another node":    {from: kit.Node{Name: "node1"}, port: 33519, to: "198.18.3.144:80"},
		"another port":    {from: kit.Node{Name: "node2"}, port: 33520, to: "198.18.3.144:80"},
		"another Service": {from: kit.Node{Name: "node2"}, port: 33519, to: "198.18.3.1:80"},
	} {
		if got := tr.of(other); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	tr.turned = tr.turned.Add(-2 * trackFor)
	tr.take("node1", began)
	if tr.of(c) == "" {
		t.Error("forgotten after one turn")
	}
	tr.turned = tr.turned.Add(-2 * trackFor)
	tr.take("node1", began)
	if tr.of(c) != "" {
		t.Error("kept for ever")
	}
}
