package view

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// Setting is one setting of a Service, as it is in effect.
type Setting struct {
	Key, Value string
	// From is where the value comes from.
	From string
}

// settings returns every setting of a Service.
func (n *Namespace) settings(svc *corev1.Service) []Setting {
	defaults := n.defaults()
	s, err := contract.Parse(svc.Annotations, defaults)
	bad := badKeys(err)
	pick := func(yes bool, then, otherwise string) string {
		if yes {
			return then
		}
		return otherwise
	}
	list := func(items []string) string { return cmp.Or(strings.Join(items, ","), "none") }
	var targets, ignored []string
	for _, t := range s.Targets {
		targets = append(targets, t.String())
	}
	for _, p := range s.IgnoreSources {
		ignored = append(ignored, p.String())
	}
	replicas := "what it had"
	if s.WakeReplicas > 0 {
		replicas = strconv.Itoa(int(s.WakeReplicas))
	}
	requested := "never"
	if !s.SleepRequested.IsZero() {
		requested = s.SleepRequested.Format(time.RFC3339)
	}
	result := []Setting{
		{contract.TargetKey, list(targets), ""},
		{contract.IdleTimeoutKey, span(s.IdleTimeout), ""},
		{contract.IdleWhenKey, pick(s.IdleWhenNoTraffic, "no-traffic", "no-connections"), ""},
		{contract.WakeOnKey, pick(s.WakeOnData, "data", "connect"), ""},
		{contract.WakeTimeoutKey, span(s.WakeTimeout), ""},
		{contract.WakeReplicasKey, replicas, ""},
		{contract.MaxHeldKey, strconv.Itoa(s.MaxHeld), ""},
		{contract.ProxyProtocolKey, pick(s.ProxyProtocol > 0, fmt.Sprintf("v%d", s.ProxyProtocol), "off"), ""},
		{contract.IgnoreSourcesKey, list(ignored), ""},
		{contract.PassivePortsKey, list(s.PassivePorts), ""},
		{contract.AllowSourceIPLossKey, strconv.FormatBool(s.AllowSourceIPLoss), ""},
		{contract.ModeKey, s.Mode.String(), ""},
		{contract.SleepRequestedKey, requested, ""},
	}
	for i := range result {
		set := &result[i]
		_, annotated := svc.Annotations[set.Key]
		switch {
		case annotated && !slices.Contains(bad, set.Key):
			set.From = "Service " + svc.Name
		case set.Key == contract.IdleTimeoutKey && defaults.IdleTimeout > 0, set.Key == contract.ModeKey && defaults.Mode != contract.ModeSleep:
			set.From = "Namespace " + n.Name
		case annotated:
			set.From = "default, for want of a good value"
		case set.Key == contract.TargetKey:
			set.From = "nowhere"
		default:
			set.From = "default"
		}
	}
	proxies := Setting{contract.ProxyReplicasKey, strconv.Itoa(contract.DefaultProxyReplicas), "default"}
	if defaults.ProxyReplicas > 0 {
		proxies.Value, proxies.From = strconv.Itoa(int(defaults.ProxyReplicas)), "Namespace "+n.Name
	}
	return append(result, proxies)
}

// badKeys returns the annotations that an error of contract.Parse is about.
func badKeys(err error) []string {
	var one *contract.ValueError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var keys []string
		for _, err := range joined.Unwrap() {
			keys = append(keys, badKeys(err)...)
		}
		return keys
	}
	if errors.As(err, &one) {
		return []string{one.Key}
	}
	return nil
}
