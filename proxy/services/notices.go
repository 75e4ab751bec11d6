package services

import (
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// What Events are about.
const (
	sleepBlocked      = "SleepBlocked"
	replicasContested = "ReplicasContested"
	targetMissing     = "TargetMissing"
	wakeTimeout       = "WakeTimeout"
	invalidAnnotation = "InvalidAnnotation"
)

// keptAwake is the reason of the Event that says why the target does not sleep; empty if it does.
func (tp TargetPlan) keptAwake() string {
	switch {
	case tp.Missing != "":
		return targetMissing
	case tp.Awake != "":
		return tp.Reason
	}
	return ""
}

// said is a text that is not a plan's to repeat: what it tells of has happened.
type said struct {
	text  string
	until time.Time
}

// notices returns what is to be said about a plan and what has happened of late; mu is held.
func (m *Manager) notices(plan Plan, now time.Time) []notice {
	var notices []notice
	for t, tp := range plan.Targets {
		var n notice
		switch {
		case tp.Missing != "":
			n = notice{reason: targetMissing, text: tp.Missing}
		case tp.Awake != "":
			n = notice{reason: tp.Reason, text: fmt.Sprintf("%s does not sleep: %s", t, tp.Awake)}
		default:
			continue
		}
		for _, uid := range tp.Services {
			n.service, n.uid = plan.Services[uid].Name, uid
			notices = append(notices, n)
		}
	}
	for uid, sp := range plan.Services {
		if sp.Problem != "" {
			notices = append(notices, notice{service: sp.Name, uid: uid, reason: invalidAnnotation, text: sp.Problem})
		}
	}
	for uid, sp := range plan.changedServices() {
		if sp.Late != "" {
			m.late[uid] = said{sp.Late, now.Add(lateFor)}
			time.AfterFunc(lateFor, m.poke)
		}
	}
	maps.DeleteFunc(m.late, func(uid types.UID, s said) bool { return plan.Services[uid].Name == "" || !now.Before(s.until) })
	for uid, s := range m.late {
		notices = append(notices, notice{service: plan.Services[uid].Name, uid: uid, reason: wakeTimeout, text: s.text})
	}
	return notices
}
