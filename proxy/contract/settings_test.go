package contract

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	web      = Target{Resource: "deployments", Group: "apps", Name: "web"}
	db       = Target{Resource: "statefulsets", Group: "apps", Name: "db"}
	prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
)

// defaults are what a Service with nothing but a target asks for.
func defaults() Settings {
	return Settings{
		Targets: []Target{web}, IdleTimeout: 10 * time.Minute, WakeTimeout: 2 * time.Minute, MaxHeld: 1024,
	}
}

func TestGoodValuesAreReadAndTheRestIsDefault(t *testing.T) {
	tests := []struct {
		key, value string
		change     func(*Settings)
	}{
		{"", "", func(*Settings) {}},
		{TargetKey, "web,statefulset/db", func(s *Settings) { s.Targets = []Target{web, db} }},
		{TargetKey, " web , sts/db ", func(s *Settings) { s.Targets = []Target{web, db} }},
		{TargetKey, "web,deploy/web,deployment.apps/web", func(*Settings) {}},
		{IdleTimeoutKey, "1s", func(s *Settings) { s.IdleTimeout = time.Second }},
		{IdleTimeoutKey, "1h30m", func(s *Settings) { s.IdleTimeout = 90 * time.Minute }},
		{IdleTimeoutKey, "720h", func(s *Settings) { s.IdleTimeout = 720 * time.Hour }},
		{IdleWhenKey, "no-connections", func(*Settings) {}},
		{IdleWhenKey, "no-traffic", func(s *Settings) { s.IdleWhenNoTraffic = true }},
		{WakeOnKey, "connect", func(*Settings) {}},
		{WakeOnKey, "data", func(s *Settings) { s.WakeOnData = true }},
		{WakeTimeoutKey, "1s", func(s *Settings) { s.WakeTimeout = time.Second }},
		{WakeTimeoutKey, "1h", func(s *Settings) { s.WakeTimeout = time.Hour }},
		{WakeReplicasKey, "1", func(s *Settings) { s.WakeReplicas = 1 }},
		{WakeReplicasKey, "10000", func(s *Settings) { s.WakeReplicas = 10000 }},
		{MaxHeldKey, "1", func(s *Settings) { s.MaxHeld = 1 }},
		{MaxHeldKey, "100000", func(s *Settings) { s.MaxHeld = 100000 }},
		{ProxyProtocolKey, "off", func(*Settings) {}},
		{ProxyProtocolKey, "v1", func(s *Settings) { s.ProxyProtocol = 1 }},
		{ProxyProtocolKey, "v2", func(s *Settings) { s.ProxyProtocol = 2 }},
		{IgnoreSourcesKey, "::ffff:10.0.0.0/104", func(s *Settings) {
			s.IgnoreSources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}},
		{IgnoreSourcesKey, "10.1.2.3/8, 192.0.2.7,2001:db8::/32,::1", func(s *Settings) {
			for _, p := range []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128"} {
				s.IgnoreSources = append(s.IgnoreSources, netip.MustParsePrefix(p))
			}
		}},
		{PassivePortsKey, "9090,metrics", func(s *Settings) { s.PassivePorts = []string{"9090", "metrics"} }},
		{AllowSourceIPLossKey, "true", func(s *Settings) { s.AllowSourceIPLoss = true }},
		{AllowSourceIPLossKey, "false", func(*Settings) {}},
		{ModeKey, "sleep", func(*Settings) {}},
		{ModeKey, "observe", func(s *Settings) { s.Mode = ModeObserve }},
		{ModeKey, "paused", func(s *Settings) { s.Mode = ModePaused }},
		{SleepRequestedKey, "2026-01-31T18:00:00.25+01:00", func(s *Settings) {
			s.SleepRequested = time.Date(2026, 1, 31, 17, 0, 0, 250_000_000, time.UTC)
		}},
		{BypassKey, "whatever it says", func(*Settings) {}},
		{PhaseKey, "TPA's own", func(*Settings) {}},
		{PortsKey, "TPA's own", func(*Settings) {}},
		{OriginalKey, "TPA's own", func(*Settings) {}},
		{"example.com/idle-timeout", "not TPA's", func(*Settings) {}},
		{"tpa.device/idle-timeout", "not TPA's", func(*Settings) {}},
	}
	for _, tt := range tests {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			annotations := map[string]string{TargetKey: "web"}
			annotations[tt.key] = tt.value
			want := defaults()
			tt.change(&want)
			got, err := Parse(annotations, Defaults{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, prefixes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadValuesAreNamedWithWhatIsAccepted(t *testing.T) {
	duration, hour := "a duration from 1s to 720h", "a duration from 1s to 1h"
	bad := map[string]struct {
		accepted string
		values   []string
	}{
		TargetKey: {"", []string{"", ",", "web,", "web,,db", "pod/web", "Web", "web db"}},
		IdleTimeoutKey: {duration, []string{
			"", "10", "0s", "0", "-1s", "999ms", "720h1s", "1d", "ten minutes", "10m ", "9999999999h",
		}},
		IdleWhenKey:    {"no-connections or no-traffic", []string{"", "never", "No-Connections", "no-connections ", "traffic"}},
		WakeOnKey:      {"connect or data", []string{"", "Data", "connect,data"}},
		WakeTimeoutKey: {hour, []string{"", "0s", "500ms", "61m", "x"}},
		WakeReplicasKey: {"a whole number from 1 to 10000", []string{
			"", "0", "-1", "10001", "1.5", "three", " 3", "99999999999999999999",
		}},
		MaxHeldKey:       {"a whole number from 1 to 100000", []string{"", "0", "-1", "100001", "many"}},
		ProxyProtocolKey: {"off or v1 or v2", []string{"", "V1", "1", "true", "v3"}},
		IgnoreSourcesKey: {"", []string{
			"", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "fe80::%eth0/64", "example.com", "2001:db8::/129",
		}},
		PassivePortsKey:      {"a comma-separated list without empty items", []string{"", "80,,443", ",80"}},
		AllowSourceIPLossKey: {"false or true", []string{"", "yes", "True", "1"}},
		ModeKey:              {"sleep or observe or paused", []string{"", "Sleep", "off", "pause", "sleep ", "paused,", "paused,paused", "paused, observe", "observe,paused"}},
		SleepRequestedKey: {"a time as RFC 3339 has it", []string{
			"", "now", "true", "2026-01-31", "2026-01-31 17:00:00Z", "1769878800", "0001-01-01T00:00:00Z",
		}},
	}
	for key, tt := range bad {
		for _, value := range tt.values {
			t.Run(key+"="+value, func(t *testing.T) {
				annotations := map[string]string{TargetKey: "web"}
				annotations[key] = value
				_, err := Parse(annotations, Defaults{})
				var one *ValueError
				if !errors.As(err, &one) || one.Key != key || one.Value != value {
					t.Fatalf("%v, want a ValueError of %s", err, key)
				}
				for _, part := range []string{key, `"` + value + `"`, "write ", tt.accepted} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				if lines := strings.Count(err.Error(), "\n"); lines > 0 {
					t.Errorf("one bad value gives several errors: %v", err)
				}
			})
		}
	}
	if _, err := Parse(nil, Defaults{}); err == nil || !strings.Contains(err.Error(), TargetKey) {
		t.Errorf("no annotation: %v, want an error that names %s", err, TargetKey)
	}
}

func TestUnknownKeysAreNamedWithTheKnownOnes(t *testing.T) {
	_, err := Parse(map[string]string{
		TargetKey: "web", Prefix + "idle-timout": "5m", Prefix: "", Prefix + "managed": "true", ProxyReplicasKey: "2",
	}, Defaults{})
	var got []string
	for _, err := range unjoin(err) {
		var unknown *UnknownKeyError
		if !errors.As(err, &unknown) {
			t.Fatalf("%v is not an UnknownKeyError", err)
		}
		got = append(got, unknown.Key)
		for _, known := range UserKeys() {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("%q does not name %s", err, known)
			}
		}
	}
	want := []string{Prefix, Prefix + "idle-timout", Prefix + "managed", ProxyReplicasKey}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestEveryErrorIsReportedAtOnce(t *testing.T) {
	annotations := map[string]string{
		TargetKey: "pod/x", IdleTimeoutKey: "soon", WakeTimeoutKey: "later", WakeReplicasKey: "0", MaxHeldKey: "0",
		WakeOnKey: "x", ProxyProtocolKey: "x", IgnoreSourcesKey: "x", PassivePortsKey: ",", AllowSourceIPLossKey: "x",
		IdleWhenKey: "x", ModeKey: "x", SleepRequestedKey: "x", Prefix + "nonsense": "x",
	}
	got, err := Parse(annotations, Defaults{})
	if n := len(unjoin(err)); n != len(annotations) {
		t.Errorf("%d errors, want %d:\n%v", n, len(annotations), err)
	}
	for key := range annotations {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
	want := defaults()
	want.Targets, want.Mode = nil, ModeObserve
	if diff := cmp.Diff(want, got, prefixes); diff != "" {
		t.Errorf("bad values are not replaced by defaults (-want +got):\n%s", diff)
	}
}

func TestPausedKeepsWhatWasBefore(t *testing.T) {
	for _, tt := range []struct{ before, value, again string }{
		{"", "paused", ""}, {"sleep", "paused,sleep", "sleep"}, {"observe", "paused,observe", "observe"},
		{"paused", "paused", ""}, {"nonsense", "paused", ""},
	} {
		value := Paused(tt.before)
		if value != tt.value || Before(value) != tt.again {
			t.Errorf("%q: %q, and then %q", tt.before, value, Before(value))
		}
		s, err := Parse(map[string]string{TargetKey: "web", ModeKey: value}, Defaults{Mode: ModeObserve})
		if err != nil || s.Mode != ModePaused {
			t.Errorf("%q: %s, %v", value, s.Mode, err)
		}
	}
	if got := Before("observe"); got != "" {
		t.Errorf("%q before what is not paused", got)
	}
}

func TestPassivePortsAreNumbersOrNames(t *testing.T) {
	s := Settings{PassivePorts: []string{"9090", "metrics"}}
	for _, tt := range []struct {
		port int32
		name string
		want bool
	}{{9090, "", true}, {9090, "http", true}, {80, "metrics", true}, {80, "", false}, {80, "http", false}, {909, "metric", false}} {
		if got := s.Passive(tt.port, tt.name); got != tt.want {
			t.Errorf("Passive(%d, %q) = %t, want %t", tt.port, tt.name, got, tt.want)
		}
	}
}

// unjoin returns the errors that errors.Join has joined.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}
