package contract

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNamespaceDefaultsAreRead(t *testing.T) {
	tests := []struct {
		name        string
		annotations map[string]string
		want        Defaults
	}{
		{"none", nil, Defaults{}},
		{"both", map[string]string{IdleTimeoutKey: "1h", ProxyReplicasKey: "3"}, Defaults{IdleTimeout: time.Hour, ProxyReplicas: 3}},
		{"the ends of the range", map[string]string{IdleTimeoutKey: "1s", ProxyReplicasKey: "100"}, Defaults{time.Second, 100, ModeSleep}},
		{"a mode", map[string]string{ModeKey: "observe"}, Defaults{Mode: ModeObserve}},
		{"keys of others and of Services", map[string]string{"a/b": "c", MaxHeldKey: "5", Prefix + "x": "y"}, Defaults{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseDefaults(tt.annotations)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadNamespaceDefaultsAreNamedAndLeftOut(t *testing.T) {
	got, err := ParseDefaults(map[string]string{IdleTimeoutKey: "0s", ProxyReplicasKey: "101", ModeKey: "off"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{IdleTimeoutKey, `"0s"`, "from 1s to", ProxyReplicasKey, `"101"`, "from 1 to 100", ModeKey, `"off"`, "paused"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if want := (Defaults{Mode: ModeObserve}); got != want {
		t.Errorf("%+v, want %+v: bad values left out, and nothing put to sleep", got, want)
	}
	if got, _ := ParseDefaults(map[string]string{IdleTimeoutKey: "5m", ProxyReplicasKey: "0"}); got.IdleTimeout != 5*time.Minute {
		t.Errorf("%+v: one bad value spoils the good one", got)
	}
}

func TestModeOfAServiceAndItsNamespace(t *testing.T) {
	for _, tt := range []struct {
		own       string
		namespace Mode
		want      Mode
	}{
		{"", ModeSleep, ModeSleep}, {"", ModeObserve, ModeObserve}, {"", ModePaused, ModePaused},
		{"sleep", ModePaused, ModeSleep}, {"paused", ModeObserve, ModePaused}, {"off", ModeObserve, ModeObserve},
		{"off", ModeSleep, ModeObserve}, {"off", ModePaused, ModePaused},
	} {
		annotations := map[string]string{TargetKey: "web"}
		if tt.own != "" {
			annotations[ModeKey] = tt.own
		}
		got, err := Parse(annotations, Defaults{Mode: tt.namespace})
		if got.Mode != tt.want || (err != nil) != (tt.own == "off") {
			t.Errorf("%q in a namespace that is %s: %s, %v, want %s", tt.own, tt.namespace, got.Mode, err, tt.want)
		}
	}
}

func TestServiceOverridesItsNamespace(t *testing.T) {
	hour := Defaults{IdleTimeout: time.Hour}
	for _, tt := range []struct {
		name        string
		annotations map[string]string
		defaults    Defaults
		want        time.Duration
		bad         bool
	}{
		{"TPA's own", nil, Defaults{}, DefaultIdleTimeout, false},
		{"the namespace's", nil, hour, time.Hour, false},
		{"the Service's", map[string]string{IdleTimeoutKey: "5m"}, hour, 5 * time.Minute, false},
		{"the namespace's instead of a bad one", map[string]string{IdleTimeoutKey: "x"}, hour, time.Hour, true},
	} {
		annotations := map[string]string{TargetKey: "web"}
		for k, v := range tt.annotations {
			annotations[k] = v
		}
		got, err := Parse(annotations, tt.defaults)
		if got.IdleTimeout != tt.want || err != nil != tt.bad {
			t.Errorf("%s: %s, %v, want %s", tt.name, got.IdleTimeout, err, tt.want)
		}
	}
}

// FuzzParse sets every key, so that the fuzzer finds its way into each parser.
func FuzzParse(f *testing.F) {
	f.Add("web,sts/db", "10m", "3", "v1", "10.0.0.0/8,::1", "80,metrics", "other")
	f.Add("", "-1ns", "-0", "off", "fe80::1%a/64", ",", "")
	f.Add("a.b/c", "1e9h", "+1", "data", "::ffff:1.2.3.4/96", "a, b", "idle-when")
	f.Fuzz(func(t *testing.T, target, duration, number, choice, sources, ports, key string) {
		annotations := map[string]string{
			TargetKey: target, IdleTimeoutKey: duration, WakeTimeoutKey: duration, WakeReplicasKey: number, MaxHeldKey: number,
			WakeOnKey: choice, IdleWhenKey: choice, ProxyProtocolKey: choice, AllowSourceIPLossKey: choice,
			ModeKey: choice, SleepRequestedKey: duration, IgnoreSourcesKey: sources, PassivePortsKey: ports, Prefix + key: choice, ProxyReplicasKey: number,
		}
		got, err := Parse(annotations, Defaults{})
		again, err2 := Parse(annotations, Defaults{})
		if diff := cmp.Diff(got, again, prefixes); diff != "" {
			t.Errorf("differs from one time to the next:\n%s", diff)
		}
		if text(err) != text(err2) {
			t.Errorf("%v, then %v", err, err2)
		}
		if got.IdleTimeout < MinIdleTimeout || got.IdleTimeout > MaxIdleTimeout ||
			got.WakeTimeout < MinWakeTimeout || got.WakeTimeout > MaxWakeTimeout ||
			got.WakeReplicas < 0 || got.WakeReplicas > MaxWakeReplicas || got.MaxHeld < 1 || got.MaxHeld > MaxMaxHeld {
			t.Errorf("out of range: %+v", got)
		}
		if err == nil && len(got.Targets) == 0 {
			t.Error("accepted without a target")
		}
		for _, target := range got.Targets {
			checkTarget(t, target)
		}
		if _, err := ParseDefaults(annotations); err != nil && text(err) == "" {
			t.Error("an error without a text")
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
