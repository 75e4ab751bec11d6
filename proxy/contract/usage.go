package contract

import (
	"encoding/json"
	"fmt"
	"time"
)

// Usage is what one proxy pod says of its connections, under UsageKey on its Lease. It is for people: nothing decides by
// it, and it may be UsageEvery old. What was idle before and still is, is not in it.
type Usage struct {
	// At is when it was written, by the proxy's clock.
	At time.Time `json:"at"`
	// Services holds those that have a connection now, by name; not all of them where they are too many for an annotation.
	Services map[string]ServiceUsage `json:"services,omitempty"`
}

// UsageEvery is how often at most a proxy writes its Usage; it writes only what has changed.
const UsageEvery = 10 * time.Second

// MaxUsageConnections is how many connections a ServiceUsage names, those that have been open longest.
const MaxUsageConnections = 3

// ServiceUsage is one proxy's connections of one Service.
type ServiceUsage struct {
	// Open is how many are relayed.
	Open int `json:"open,omitempty"`
	// Held is how many wait for a ready backend.
	Held int `json:"held,omitempty"`
	// Parked is how many of Open do not count, being silent (idle-when: no-traffic).
	Parked int `json:"parked,omitempty"`
	// Oldest are some that keep the target awake, at most MaxUsageConnections, the one that has been open longest first.
	Oldest []ConnectionUsage `json:"oldest,omitempty"`
}

// ConnectionUsage is one connection.
type ConnectionUsage struct {
	// From is the client's address and port, as the proxy sees it.
	From string `json:"from"`
	// Port is the Service's port.
	Port int32 `json:"port"`
	// Since is when it was accepted.
	Since time.Time `json:"since"`
}

// ParseUsage reads a Usage as String writes it.
func ParseUsage(s string) (Usage, error) {
	var u Usage
	if err := json.Unmarshal([]byte(s), &u); err != nil {
		return Usage{}, fmt.Errorf("%s: %w", UsageKey, err)
	}
	return u, nil
}

// String is the Usage as JSON; equal ones give equal strings.
func (u Usage) String() string {
	b, _ := json.Marshal(u) // times, strings and integers always encode
	return string(b)
}
