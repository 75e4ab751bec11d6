package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"tpa.dev/tpa/test/apiserver"
)

// auditPolicy has the API server note each request of TPA's user when it has been answered, a watch when it begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + apiserver.Self + `"]
- level: None
`

// audit is the API server's audit log.
type audit struct{ policy, log string }

func newAudit(dir string) (*audit, error) {
	a := &audit{policy: filepath.Join(dir, "audit-policy.yaml"), log: filepath.Join(dir, "audit.log")}
	return a, os.WriteFile(a.policy, []byte(auditPolicy), 0o644)
}

// serverArgs are the API server's flags. It writes the log before it answers, so what has been answered is in it.
func (a *audit) serverArgs() map[string]string {
	return map[string]string{
		"audit-policy-file": a.policy, "audit-log-path": a.log, "audit-log-mode": "blocking", "audit-log-maxsize": "10000",
	}
}

// counts reports whether an Event stands for a request: a watch has one when it begins and another one when it ends.
func counts(e *auditv1.Event) bool {
	if e.Verb == "watch" {
		return e.Stage == auditv1.StageResponseStarted
	}
	return e.Stage == auditv1.StageResponseComplete
}

// about is the object of a request; the zero value if it is about none.
func about(e *auditv1.Event) auditv1.ObjectReference {
	if e.ObjectRef == nil {
		return auditv1.ObjectReference{}
	}
	return *e.ObjectRef
}

func leaderElection(e *auditv1.Event) bool {
	object := about(e)
	return object.Resource == "leases" && object.Namespace == apiserver.Namespace && object.Name == "tpa-controller"
}

// kind is what kind of request it was, such as "patch services".
func kind(e *auditv1.Event) string {
	object := about(e)
	switch {
	case leaderElection(e):
		return e.Verb + " the leader's lease"
	case object.Resource == "":
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return e.Verb + " " + path
	case object.Subresource != "":
		return e.Verb + " " + object.Resource + "/" + object.Subresource
	}
	return e.Verb + " " + object.Resource
}

// mark is the current end of the log.
func (a *audit) mark() (int64, error) {
	info, err := os.Stat(a.log)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// since returns the requests behind a mark, and the mark behind them.
func (a *audit) since(mark int64) ([]auditv1.Event, int64, error) {
	file, err := os.Open(a.log)
	if os.IsNotExist(err) {
		return nil, mark, nil
	}
	if err != nil {
		return nil, mark, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, mark, 1<<62))
	if err != nil {
		return nil, mark, fmt.Errorf("read the audit log: %w", err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1] // the last line may still be being written
	var events []auditv1.Event
	for line := range bytes.Lines(data) {
		var e auditv1.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, mark, fmt.Errorf("read the audit log: %w", err)
		}
		if counts(&e) {
			events = append(events, e)
		}
	}
	return events, mark + int64(len(data)), nil
}
