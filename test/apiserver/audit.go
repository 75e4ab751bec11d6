package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditPolicy has the API server note each request of some users when it has been answered, a watch when it begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: %s
- level: None
`

// Audit is an API server's audit log.
type Audit struct{ policy, log string }

// NewAudit returns the log of some users' requests, with files in a folder. It is kept once Options have its ServerArgs.
func NewAudit(dir string, users ...string) (*Audit, error) {
	list, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	a := &Audit{policy: filepath.Join(dir, "audit-policy.yaml"), log: filepath.Join(dir, "audit.log")}
	return a, os.WriteFile(a.policy, fmt.Appendf(nil, auditPolicy, list), 0o644)
}

// ServerArgs are the API server's flags. It writes the log before it answers, so what has been answered is in it.
func (a *Audit) ServerArgs() map[string]string {
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

// About is the object of a request; the zero value if it is about none.
func About(e *auditv1.Event) auditv1.ObjectReference {
	if e.ObjectRef == nil {
		return auditv1.ObjectReference{}
	}
	return *e.ObjectRef
}

// Kind is what kind of request it was, such as "patch services".
func Kind(e *auditv1.Event) string {
	object := About(e)
	switch {
	case object.Resource == "":
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return e.Verb + " " + path
	case object.Subresource != "":
		return e.Verb + " " + object.Resource + "/" + object.Subresource
	}
	return e.Verb + " " + object.Resource
}

// Mark is the current end of the log.
func (a *Audit) Mark() (int64, error) {
	info, err := os.Stat(a.log)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Since returns the requests behind a mark, and the mark behind them.
func (a *Audit) Since(mark int64) ([]auditv1.Event, int64, error) {
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
