package contract

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestOriginalIsReadBackExactly(t *testing.T) {
	for _, o := range []Original{
		{Selector: map[string]string{"app": "web"}},
		{Selector: map[string]string{"app": "web", "tier": ""}, TargetPorts: map[int32]intstr.IntOrString{
			80: intstr.FromInt32(8080), 443: intstr.FromString("https"), 22: intstr.FromInt32(65535),
		}},
		{Selector: map[string]string{"app": "web"}, TargetPorts: map[int32]intstr.IntOrString{80: intstr.FromInt32(1)}},
	} {
		got, err := ParseOriginal(o.String())
		if err != nil {
			t.Errorf("%s: %v", o, err)
			continue
		}
		if diff := cmp.Diff(o, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o, diff)
		}
	}
}

func TestEqualOriginalsGiveEqualStrings(t *testing.T) {
	a, b := Original{Selector: map[string]string{}}, Original{Selector: map[string]string{}}
	keys := []string{"a", "b", "c", "d", "e"}
	for i := range keys {
		a.Selector[keys[i]], b.Selector[keys[len(keys)-1-i]] = "v", "v"
	}
	if a.String() != b.String() {
		t.Errorf("%s and %s differ", a, b)
	}
}

func TestOriginalThatCannotBeRestoredIsRefused(t *testing.T) {
	for s, why := range map[string]string{
		"":                          "JSON",
		"{":                         "JSON",
		"null":                      "no selector",
		"{}":                        "no selector",
		`{"selector":{}}`:           "no selector",
		`{"selector":{"a":1}}`:      "cannot unmarshal",
		`{"selector":["a"]}`:        "cannot unmarshal",
		`{"selector":{"a":"b"}} {}`: "after top-level value",
		`{"selector":{"tpa.dev/proxy":"tpa-proxy"}}`:                "holds tpa.dev/proxy",
		`{"selector":{"a":"b","tpa.dev/proxy":""}}`:                 "holds tpa.dev/proxy",
		`{"selector":{"a":"b"},"targetPorts":{"80":20000}}`:         "targetPort 20000 of port 80 is TPA's own",
		`{"selector":{"a":"b"},"targetPorts":{"80":29999}}`:         "targetPort 29999 of port 80 is TPA's own",
		`{"selector":{"a":"b"},"targetPorts":{"80":"tpa-pending"}}`: "tpa-pending of port 80 is TPA's own",
		// No Service can have these; as a 16-bit number 85537 would even be a port of TPA's range.
		`{"selector":{"a":"b"},"targetPorts":{"80":85537}}`: "targetPort 85537 of port 80 is not a port",
		`{"selector":{"a":"b"},"targetPorts":{"80":-1}}`:    "targetPort -1 of port 80 is not a port",
		`{"selector":{"a":"b"},"targetPorts":{"80":0}}`:     "targetPort 0 of port 80 is not a port",
		`{"selector":{"a":"b"},"targetPorts":{"80":""}}`:    "of port 80 is not a port",
	} {
		got, err := ParseOriginal(s)
		var bad *ValueError
		if !errors.As(err, &bad) || bad.Key != OriginalKey || bad.Value != s {
			t.Errorf("ParseOriginal(%s) = %v, %v, want a ValueError of %s", s, got, err, OriginalKey)
			continue
		}
		if !strings.Contains(err.Error(), why) {
			t.Errorf("ParseOriginal(%s): %q does not say %q", s, err, why)
		}
	}
}

func FuzzParseOriginal(f *testing.F) {
	for _, s := range []string{
		`{"selector":{"app":"web"},"targetPorts":{"80":8080,"443":"https"}}`,
		`{"selector":{"tpa.dev/proxy":"tpa-proxy"},"Selector":{"a":"b"}}`,
		`{"selector":{"a":"b"},"targetPorts":{"80":85537}}`, `{"selector":{"a":"b"},"targetPorts":{"80":null}}`, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOriginal(s)
		if err != nil {
			return
		}
		if _, ok := o.Selector[SelectorKey]; ok || len(o.Selector) == 0 {
			t.Errorf("%q has the selector %v", s, o.Selector)
		}
		for _, target := range o.TargetPorts {
			if target.Type == intstr.Int && InPortRange(int32(uint16(target.IntVal))) || target.StrVal == PendingTargetPort {
				t.Errorf("%q has the targetPort %v", s, target)
			}
		}
		again, err := ParseOriginal(o.String())
		if err != nil {
			t.Fatalf("%q: not read back from %s: %v", s, o, err)
		}
		if o.String() != again.String() {
			t.Errorf("%q: %s becomes %s", s, o, again)
		}
	})
}
