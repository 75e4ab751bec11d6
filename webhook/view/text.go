package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// unknown is what kubectl prints for what it does not know, none what it prints for what there is not.
const (
	unknown = "<unknown>"
	none    = "-"
)

// span is a duration as people write it: 10m, 1h30m, 45s.
func span(d time.Duration) string {
	return strings.Replace(strings.Replace(d.String(), "m0s", "m", 1), "h0m", "h", 1)
}

// stateText is the state, and what it would be if TPA did more than observe.
func (s Service) stateText() string {
	if s.WouldSince.IsZero() || s.State != Awake {
		return string(s.State)
	}
	return fmt.Sprintf("%s (observed: asleep %s)", s.State, duration.HumanDuration(s.now.Sub(s.WouldSince)))
}

func (s Service) readyText() string {
	if s.Ready < 0 && s.Desired < 0 {
		return unknown
	}
	number := func(n int32) string {
		if n < 0 {
			return "?"
		}
		return strconv.Itoa(int(n))
	}
	return number(s.Ready) + "/" + number(s.Desired)
}

func (s Service) connectionsText() string {
	switch {
	case s.Phase != contract.Active && s.Phase != contract.Restoring:
		return none
	case s.Usage == nil:
		return unknown
	}
	text := strconv.Itoa(s.Usage.Open)
	var more []string
	if s.Usage.Held > 0 {
		more = append(more, fmt.Sprintf("+%d held", s.Usage.Held))
	}
	if s.Usage.Parked > 0 {
		more = append(more, fmt.Sprintf("%d silent", s.Usage.Parked))
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}

// busy reports whether connections are known to be open that count.
func (s Service) busy() bool {
	return s.Usage == nil || s.Usage.Open-s.Usage.Parked+s.Usage.Held > 0
}

func (s Service) idleText() string {
	switch {
	case s.Phase != contract.Active:
		return none
	case s.Used && s.busy(), s.Mode == contract.ModePaused:
		return none
	case s.Used:
		return "<" + span(sleep.Quiet(s.IdleTimeout)) // so long is a claim kept after the last use
	case s.IdleSince.IsZero():
		return unknown
	}
	return duration.HumanDuration(s.now.Sub(s.IdleSince))
}

func (s Service) sleepsText() string {
	switch {
	case s.Keeps != "" && (s.State == Awake || s.State == Waking || s.State == PartlyAsleep):
		return s.Keeps
	case s.Used && !s.busy():
		return "<" + span(s.IdleTimeout)
	case s.SleepsAt.IsZero():
		return none
	case !s.SleepsAt.After(s.now):
		return "now"
	}
	return duration.HumanDuration(s.SleepsAt.Sub(s.now))
}

func (s Service) wakesText() string {
	if s.History == nil {
		return none
	}
	return strconv.FormatInt(s.History.Wakes, 10)
}

func (s Service) sleepCount() string {
	if s.History == nil {
		return none
	}
	return strconv.FormatInt(s.History.Sleeps, 10)
}

func (s Service) asleepText() string {
	if s.History == nil {
		return none
	}
	return duration.HumanDuration(seconds(s.History.Asleep))
}

// observedText is what would have become of it while TPA only observed.
func (s Service) observedText() string {
	if s.History == nil || s.History.Observed == (contract.Observed{}) {
		return none
	}
	o := s.History.Observed
	return fmt.Sprintf("%s, asleep %s", count(int(o.Sleeps), "sleep"), duration.HumanDuration(seconds(o.Asleep)))
}

func (s Service) lastWakeText() string {
	if s.History == nil || s.History.LastWake == nil {
		return none
	}
	w := *s.History.LastWake
	return fmt.Sprintf("%s ago, %s", duration.HumanDuration(s.now.Sub(w.At)), outcome(w))
}

func outcome(w contract.Wake) string {
	switch w.Outcome {
	case contract.WakeReady:
		return "ready in " + seconds(w.Took).Round(10*time.Millisecond).String()
	case contract.WakeTimedOut:
		return "given up after " + span(seconds(w.Took).Round(time.Second))
	case "":
		return "under way"
	}
	return string(w.Outcome)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (s Service) proxiesText() string {
	if s.Proxies < 0 {
		return unknown
	}
	return fmt.Sprintf("%d/%d", s.ReadyProxies, s.Proxies)
}
