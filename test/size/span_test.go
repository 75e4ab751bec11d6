package main

import (
	"os"
	"testing"

	"tpa.dev/tpa/test/apiserver"
)

// What the API server writes about each request is counted once, as what it is.
func TestCount(t *testing.T) {
	event := func(stage, verb, object string) string {
		return `{"stage":"` + stage + `","verb":"` + verb + `","requestURI":"/api?timeout=32s"` + object + "}\n"
	}
	ref := func(resource, more string) string { return `,"objectRef":{"resource":"` + resource + `"` + more + `}` }
	a, err := apiserver.NewAudit(t.TempDir(), apiserver.Self)
	if err != nil {
		t.Fatal(err)
	}
	log := event("ResponseComplete", "get", "")
	mark := int64(len(log))
	log += event("ResponseComplete", "get", "") +
		event("ResponseComplete", "list", ref("services", "")) +
		event("ResponseComplete", "get", ref("deployments", `,"subresource":"scale"`)) +
		event("ResponseComplete", "patch", ref("services", "")) +
		event("ResponseComplete", "create", ref("leases", `,"namespace":"shop","name":"tpa-controller"`)) +
		event("ResponseComplete", "create", ref("events", "")) +
		event("ResponseComplete", "create", ref("subjectaccessreviews", "")) +
		event("ResponseStarted", "watch", ref("services", "")) +
		event("ResponseComplete", "watch", ref("services", "")) +
		event("ResponseComplete", "update", ref("leases", `,"namespace":"`+apiserver.Namespace+`","name":"tpa-controller"`)) +
		`{"stage":"ResponseComplete","verb":"pa`
	if err := os.WriteFile(a.ServerArgs()["audit-log-path"], []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	events, _, err := a.Since(mark)
	if err != nil {
		t.Fatal(err)
	}
	s := span{Requests: map[string]int{}}
	for i := range events {
		s.Requests[kind(&events[i])]++
	}
	if s.writes() != 2 || s.events() != 1 || s.reads() != 4 || s.watches() != 1 {
		t.Errorf("%d writes, %d Events, %d reads, %d watches of %v", s.writes(), s.events(), s.reads(), s.watches(), s.Requests)
	}
	if s.Requests["get /api"] != 1 || s.Requests["get deployments/scale"] != 1 || s.Requests["update the leader's lease"] != 1 {
		t.Errorf("%v", s.Requests)
	}
}
