package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Ports maps a Service port to the proxy's port for it. All are TCP: a Service with another protocol is not managed.
type Ports map[int32]int32

// ParsePorts reads the value of PortsKey, such as "80:20001,443:20002". Every proxy port lies in TPA's range and
// appears once. The empty string is an empty map.
func ParsePorts(s string) (Ports, error) {
	ports := Ports{}
	if s == "" {
		return ports, nil
	}
	seen := map[int32]bool{}
	for pair := range strings.SplitSeq(s, ",") {
		left, right, found := strings.Cut(pair, ":")
		port, err1 := parsePort(left)
		slot, err2 := parsePort(right)
		_, twice := ports[port]
		if !found || err1 != nil || err2 != nil || twice || seen[slot] || !InPortRange(slot) {
			return nil, &ValueError{Key: PortsKey, Value: s, Accepted: fmt.Sprintf(
				"PORT:SLOT,... with each slot once and in %d-%d, such as 80:20001,443:20002", PortMin, PortMax)}
		}
		seen[slot], ports[port] = true, slot
	}
	return ports, nil
}

// String is the value of PortsKey, in the order of the Service ports.
func (p Ports) String() string {
	var b strings.Builder
	for i, port := range slices.Sorted(maps.Keys(p)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d:%d", port, p[port])
	}
	return b.String()
}

// parsePort reads a TCP port number, 1-65535.
func parsePort(s string) (int32, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return int32(n), err
}

// Listening is what one proxy pod listens on: for each Service, by UID, the proxy ports that are open for it. A port
// that is missing is not acknowledged, and its Service may not become Active.
type Listening map[types.UID][]int32

// ParseListening reads the value of ListeningKey.
func ParseListening(s string) (Listening, error) {
	l := Listening{}
	if s == "" {
		return l, nil
	}
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		return nil, &ValueError{Key: ListeningKey, Value: s, Accepted: "a JSON object of port lists by Service UID"}
	}
	return l, nil
}

// String is the value of ListeningKey; equal contents give equal strings.
func (l Listening) String() string {
	for uid := range l {
		slices.SortFunc(l[uid], cmp.Compare[int32])
	}
	b, _ := json.Marshal(l) // a map of slices of integers always encodes
	return string(b)
}

// Acknowledges reports whether every port allocated to the Service is open.
func (l Listening) Acknowledges(uid types.UID, ports Ports) bool {
	for _, slot := range ports {
		if !slices.Contains(l[uid], slot) {
			return false
		}
	}
	return true
}
