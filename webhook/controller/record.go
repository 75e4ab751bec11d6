package controller

import (
	"encoding/json"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// RecordKey is the annotation of the proxy's Deployment that holds the record.
const RecordKey = contract.Prefix + "record"

// record is what the controller must know of a namespace and cannot see: since when things are as they are. It lives on
// the proxy's Deployment, so that a restart does not start the clocks anew, and is empty while nothing is under way.
type record struct {
	// Unused is when the namespace's last managed Service went.
	Unused time.Time `json:"unused,omitzero"`
	// Deserted is since when no proxy is ready although a Service relies on one.
	Deserted time.Time `json:"deserted,omitzero"`
	// Restoring is since when each Service waits for a ready backend.
	Restoring map[types.UID]time.Time `json:"restoring,omitempty"`
	// Asides is how often in a row TPA stepped aside, AsideAt when it did so last.
	Asides  int       `json:"asides,omitempty"`
	AsideAt time.Time `json:"asideAt,omitzero"`
}

// parseRecord reads a record; one that cannot be read counts as empty, which costs a wait and nothing else.
func parseRecord(s string) record {
	var r record
	if s != "" && json.Unmarshal([]byte(s), &r) != nil {
		return record{}
	}
	return r
}

// String is the record as JSON; the empty string if there is nothing in it.
func (r record) String() string {
	b, _ := json.Marshal(r) // times, strings and integers always encode
	if string(b) == "{}" {
		return ""
	}
	return string(b)
}

func (r record) clone() record {
	r.Restoring = maps.Clone(r.Restoring)
	return r
}

// since returns when the Service began to wait, which is now if it did not yet.
func (r *record) since(uid types.UID, now time.Time) time.Time {
	if at, ok := r.Restoring[uid]; ok {
		return at
	}
	if r.Restoring == nil {
		r.Restoring = map[types.UID]time.Time{}
	}
	r.Restoring[uid] = now
	return now
}

// memory is what this process knows of namespaces beyond what it watches. All of it may be lost.
type memory struct {
	mu sync.Mutex
	// records are newer than those on watched Deployments: a pass must not miss what the one before it wrote.
	records map[string]record
	// scans says which namespaces have been searched for Services that were annotated too early, and when to search again.
	scans map[string]scan
	// said is what was last reported about an object, so that it is said once.
	said map[string]string
	// self is the UID of TPA's own ServiceAccount, once it was asked for.
	self types.UID
}

// uid returns the UID of TPA's own ServiceAccount, which read reads if it is not known.
func (m *memory) uid(read func() (types.UID, error)) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if m.self == "" {
		m.self, err = read()
	}
	return string(m.self), err
}

func (m *memory) record(namespace, stored string) record {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[namespace]; ok {
		return r.clone()
	}
	return parseRecord(stored)
}

func (m *memory) setRecord(namespace string, r record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[string]record{}
	}
	m.records[namespace] = r.clone()
}

// dropRecord forgets a record that the watched Deployment has too.
func (m *memory) dropRecord(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, namespace)
}

// news reports whether something is said for the first time; saying nothing makes it new again.
func (m *memory) news(about, what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said[about] == what {
		return false
	}
	if m.said == nil {
		m.said = map[string]string{}
	}
	m.said[about] = what
	if what == "" {
		delete(m.said, about)
		return false
	}
	return true
}

// forget drops a namespace that is gone.
func (m *memory) forget(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, namespace)
	delete(m.scans, namespace)
	maps.DeleteFunc(m.said, func(about, _ string) bool { return inNamespace(about, namespace) })
}

func inNamespace(about, namespace string) bool {
	return len(about) > len(namespace) && about[:len(namespace)] == namespace && about[len(namespace)] == '/'
}
