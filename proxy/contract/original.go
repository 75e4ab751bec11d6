package contract

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Original is what the user wrote in the fields that TPA rewrites. The webhook keeps it current while the Service is
// managed and puts it back at the end.
type Original struct {
	// Selector is never empty and never holds SelectorKey.
	Selector map[string]string `json:"selector"`
	// TargetPorts holds the targetPort of each Service port.
	TargetPorts map[int32]intstr.IntOrString `json:"targetPorts"`
}

// ParseOriginal reads the value of OriginalKey. It refuses what could not be restored: no selector, a reserved key, a
// targetPort of TPA's range or one that no Service can have.
func ParseOriginal(s string) (Original, error) {
	bad := func(why string) error {
		return &ValueError{Key: OriginalKey, Value: s, Accepted: "what TPA wrote there (" + why + ")"}
	}
	var o Original
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return Original{}, bad(err.Error())
	}
	if len(o.Selector) == 0 {
		return Original{}, bad("it has no selector")
	}
	if _, ok := o.Selector[SelectorKey]; ok {
		return Original{}, bad("its selector holds " + SelectorKey)
	}
	for port, target := range o.TargetPorts {
		if target.Type == intstr.Int && (target.IntVal < 1 || target.IntVal > 65535) || target == intstr.FromString("") {
			return Original{}, bad(fmt.Sprintf("targetPort %s of port %d is not a port", target.String(), port))
		}
		if target.Type == intstr.Int && InPortRange(target.IntVal) || target.StrVal == PendingTargetPort {
			return Original{}, bad(fmt.Sprintf("targetPort %s of port %d is TPA's own", target.String(), port))
		}
	}
	return o, nil
}

// String is the value of OriginalKey; equal originals give equal strings.
func (o Original) String() string {
	b, _ := json.Marshal(o) // strings, integers and IntOrString always encode
	return string(b)
}
