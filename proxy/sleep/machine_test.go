package sleep

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Unix(1e9, 0).UTC()

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

// machine returns a Machine that has observed a state at t0.
func machine(s State) *Machine {
	m := New("me", "me/1")
	m.Observe(s, true, "1", t0)
	m.Observe(s, true, "2", t0)
	return m
}

func TestNext(t *testing.T) {
	idle := Claim{IdleSince: t0}
	for _, tc := range []struct {
		name  string
		state State
		in    Inputs
		want  Kind
		until time.Time // for Wait
		phase Phase     // for Swap
	}{
		{"nobody ever came: sleep counts from the phase", State{Phase: Awake, Since: t0}, Inputs{Now: at(59)}, Wait, at(60), ""},
		{"time is up: look at the scale first", State{Phase: Awake, Since: t0}, Inputs{Now: at(60)}, ReadScale, time.Time{}, ""},
		{"a blocked target stays awake", State{Phase: Awake, Since: t0}, Inputs{Now: at(60), Blocked: true}, Wait, time.Time{}, ""},
		{"settling", State{Phase: Awake, Since: t0, NotBefore: at(600)}, Inputs{Now: at(60)}, Wait, at(600), ""},
		{"another's claim", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"x": {}}}, Inputs{Now: at(600)}, Wait, time.Time{}, ""},
		{"the claim of one who seems gone", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"x": {}}}, Inputs{Now: at(1), Gone: []string{"x"}}, Verify, time.Time{}, ""},
		{"a use needs a claim", State{Phase: Awake, Since: t0}, Inputs{Now: at(1), Waiting: true}, Swap, time.Time{}, Awake},
		{"an idle claim is won back", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": idle}}, Inputs{Now: at(1), Waiting: true}, Swap, time.Time{}, Awake},
		{"in use and served", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(1), Active: 1, Ready: 1}, Wait, time.Time{}, ""},
		{"in use and nothing ready", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(1), Active: 1}, ReadScale, time.Time{}, ""},
		{"the claim is kept for a while", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(29), IdleSince: t0}, Wait, at(30), ""},
		{"and then given up", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(30), IdleSince: t0}, Swap, time.Time{}, Awake},
		{"a sleep was asked for since the last use", State{Phase: Awake, Since: t0}, Inputs{Now: at(2), SleepRequested: at(1)}, ReadScale, time.Time{}, ""},
		{"the claim is given up for that at once", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(2), IdleSince: t0, SleepRequested: at(1)}, Swap, time.Time{}, Awake},
		{"but not by who is in use", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(2), Active: 1, Ready: 1, SleepRequested: at(1)}, Wait, time.Time{}, ""},
		{"nor does it sleep under another's claim", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"x": {}}}, Inputs{Now: at(2), SleepRequested: at(1)}, Wait, time.Time{}, ""},
		{"nor while it settles", State{Phase: Awake, Since: t0, NotBefore: at(600)}, Inputs{Now: at(2), SleepRequested: at(1)}, Wait, at(600), ""},
		{"nor if it is blocked", State{Phase: Awake, Since: t0}, Inputs{Now: at(2), SleepRequested: at(1), Blocked: true}, Wait, time.Time{}, ""},
		{"a use since then makes the request void", State{Phase: Awake, Since: t0, Used: at(2)}, Inputs{Now: at(3), SleepRequested: at(1)}, Wait, at(62), ""},
		{"one at the same time too", State{Phase: Awake, Since: t0}, Inputs{Now: at(3), SleepRequested: t0}, Wait, at(60), ""},
		{"and a wake", State{Phase: Awake, Since: at(2)}, Inputs{Now: at(3), SleepRequested: at(1)}, Wait, at(62), ""},
		{"another sleeps: hold", State{Phase: Sleeping, Since: t0, By: "x/1"}, Inputs{Now: at(9), Waiting: true}, Wait, at(10), ""},
		{"another has been sleeping for too long", State{Phase: Sleeping, Since: t0, By: "x/1"}, Inputs{Now: at(10), Waiting: true}, ReadScale, time.Time{}, ""},
		{"asleep and quiet", State{Phase: Asleep, Since: t0}, Inputs{Now: at(1e6)}, Wait, time.Time{}, ""},
		{"asleep and somebody comes", State{Phase: Asleep, Since: t0}, Inputs{Now: at(1), Waiting: true}, Swap, time.Time{}, Awake},
		{"asleep and a backend is ready", State{Phase: Asleep, Since: t0}, Inputs{Now: at(5), Ready: 1}, ReadScale, time.Time{}, ""},
		{"asleep and pods are starting", State{Phase: Asleep, Since: t0}, Inputs{Now: at(5), Starting: true}, ReadScale, time.Time{}, ""},
		{"leaving gives the claim up", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {}}}, Inputs{Now: at(1), IdleSince: t0, Leaving: true}, Swap, time.Time{}, Awake},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.IdleTimeout = time.Minute
			a := machine(tc.state).Next(tc.in)
			if a.Kind != tc.want || !a.At.Equal(tc.until) || a.State.Phase != tc.phase {
				t.Errorf("got %+v", a)
			}
		})
	}
}

// do carries an action out with a result and takes a Swap's state in.
func do(m *Machine, a Action, r Result, now time.Time) {
	m.Done(a, r, now)
	if a.Kind == Swap && r.Outcome == OK {
		m.Observe(a.State, true, fmt.Sprint("seq", a.State.Seq), now)
	}
}

func TestARoundOfSleepAndWake(t *testing.T) {
	m := machine(State{Phase: Awake, Since: t0})
	in := Inputs{Now: at(60), IdleTimeout: time.Minute, Ready: 3}
	var kinds []Kind
	results := map[Kind]Result{ReadScale: {Scale: Scale{Replicas: 3, ResourceVersion: "7"}}, WriteScale: {Scale: Scale{ResourceVersion: "8"}}}
	for {
		a := m.Next(in)
		if a.Kind == Wait {
			break
		}
		kinds = append(kinds, a.Kind)
		do(m, a, results[a.Kind], in.Now)
	}
	if diff := cmp.Diff([]Kind{ReadScale, Swap, WriteScale, Swap}, kinds); diff != "" {
		t.Errorf("actions of a sleep (-want +got):\n%s", diff)
	}
	want := State{Phase: Asleep, Seq: 2, Since: at(60), Replicas: 3, Owed: true, Claims: map[string]Claim{}}
	if got, _ := m.State(); cmp.Diff(want, got) != "" {
		t.Errorf("state (-want +got):\n%s", cmp.Diff(want, got))
	}

	in = Inputs{Now: at(100), IdleTimeout: time.Minute, Waiting: true}
	do(m, m.Next(in), Result{}, in.Now)
	if !m.Held() {
		t.Fatal("no claim after the wake was written")
	}
	do(m, m.Next(in), Result{Scale: Scale{ResourceVersion: "8"}}, in.Now)
	if a := m.Next(in); a.Kind != WriteScale || a.Replicas != 3 || a.Scale.ResourceVersion != "8" {
		t.Errorf("wake writes %+v, want 3 replicas at 8", a)
	}
}

// TestSleepThatFails: whatever is refused, the target ends up awake, and the next attempt takes its time.
func TestSleepThatFails(t *testing.T) {
	for name, results := range map[string][]Result{
		"the write is refused":          {{Outcome: Refused}, {Scale: Scale{Replicas: 3, ResourceVersion: "7"}}},
		"the write meets a conflict":    {{Outcome: Conflict}, {Scale: Scale{Replicas: 3, ResourceVersion: "9"}}},
		"the scale has gone in between": {{Outcome: Refused}, {Outcome: Refused}},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(State{Phase: Awake, Since: t0})
			in := Inputs{Now: at(60), IdleTimeout: time.Minute, Ready: 3}
			results := append([]Result{{Scale: Scale{Replicas: 3, ResourceVersion: "7"}}, {}}, results...)
			for range 8 {
				in.Now = in.Now.Add(300 * time.Millisecond)
				a := m.Next(in)
				if a.Kind == Wait {
					continue
				}
				r := Result{}
				if len(results) > 0 {
					r, results = results[0], results[1:]
				}
				do(m, a, r, in.Now)
			}
			state, _ := m.State()
			if a := m.Next(in); state.Phase != Awake || a.Kind != Wait || !a.At.After(in.Now) {
				t.Errorf("phase %s, next %+v; want Awake and a wait", state.Phase, a)
			}
		})
	}
}

// TestWorkloadThatReturns: one that was gone has its own time to be idle when it is made anew, and no more than that.
func TestWorkloadThatReturns(t *testing.T) {
	idle := Inputs{IdleTimeout: 10 * time.Second, IdleSince: t0}
	used := Inputs{IdleTimeout: 10 * time.Second, Active: 1}
	for name, tc := range map[string]struct {
		in    Inputs
		claim Claim
	}{"unused": {idle, Claim{IdleSince: t0}}, "in use": {used, Claim{}}} {
		t.Run(name, func(t *testing.T) {
			m := machine(State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": tc.claim}})
			back := 600
			for second := 60; ; second++ {
				tc.in.Now = at(second)
				a := m.Next(tc.in)
				if a.Kind != ReadScale {
					continue
				}
				if second >= back {
					back = second
					do(m, a, Result{Scale: Scale{Replicas: 3, ResourceVersion: "7"}}, tc.in.Now)
					break
				}
				do(m, a, Result{Outcome: Refused}, tc.in.Now)
			}
			m.Observe(State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {IdleSince: t0}}}, true, "3", at(back))
			idle.Now = at(back)
			if a := m.Next(idle); a.Kind != Wait || !a.At.Equal(at(back+10)) {
				t.Errorf("right after the return: %+v, want a wait for the idle time-out", a)
			}
			idle.Now = at(back + 10)
			if a := m.Next(idle); a.Kind != ReadScale {
				t.Errorf("when that is over: %+v, want a look at the scale", a)
			}
		})
	}
}

// TestPodsReturn: pods that are ready again say that the workload is back, however long the next try to read its scale
// would be away by then.
func TestPodsReturn(t *testing.T) {
	m := machine(State{Phase: Awake, Since: t0, Claims: map[string]Claim{"me": {IdleSince: t0}}})
	in := Inputs{IdleTimeout: 10 * time.Second, IdleSince: t0, Ready: 2} // of which the watch has not heard yet
	for second := 10; second < 100; second++ {
		in.Now = at(second)
		if a := m.Next(in); a.Kind == ReadScale {
			do(m, a, Result{Outcome: Refused}, in.Now)
		}
		in.Ready = 0
	}
	in.Now, in.Ready = at(100), 1
	if a := m.Next(in); a.Kind != Wait || !a.At.Equal(at(110)) {
		t.Errorf("when a pod is ready: %+v, want a wait for the idle time-out", a)
	}
	in.Now, in.Ready = at(105), 2
	if a := m.Next(in); a.Kind != Wait || !a.At.Equal(at(110)) {
		t.Errorf("when another pod is ready: %+v, want no longer wait", a)
	}
	in.Now = at(110)
	if a := m.Next(in); a.Kind != ReadScale {
		t.Errorf("when that is over: %+v, want a look at the scale", a)
	}
}

// TestScaleFromAnotherPhase: an answer that was on its way while others put the target to sleep is from before that, and
// no sign that somebody has scaled it up since.
func TestScaleFromAnotherPhase(t *testing.T) {
	m := machine(State{Phase: Awake, Since: t0})
	in := Inputs{Now: at(100), IdleTimeout: time.Minute, Ready: 1}
	a := m.Next(in)
	if a.Kind != ReadScale {
		t.Fatalf("%+v, want a look at the scale", a)
	}
	asleep := State{Phase: Sleeping, Since: at(100), By: "other/1", Replicas: 3, Owed: true}
	m.Observe(asleep, true, "3", at(100))
	asleep.Phase = Asleep
	m.Observe(asleep, true, "4", at(100))
	m.Done(a, Result{Scale: Scale{Replicas: 3, ResourceVersion: "7"}}, at(100))
	for second := 100; second < 110; second++ {
		in.Now = at(second) // its pods are still about to go
		switch a := m.Next(in); a.Kind {
		case ReadScale:
			m.Done(a, Result{Scale: Scale{Replicas: 0, ResourceVersion: "8"}}, in.Now)
		case Wait:
		default:
			t.Fatalf("%+v, want none", a)
		}
	}
}

func TestWakeTo(t *testing.T) {
	for _, tc := range []struct{ had, configured, want int32 }{{0, 0, 1}, {3, 0, 3}, {3, 5, 5}, {0, 2, 2}} {
		if got := (State{Replicas: tc.had}).WakeTo(tc.configured); got != tc.want {
			t.Errorf("had %d, configured %d: wakes to %d, want %d", tc.had, tc.configured, got, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(State{Phase: Awake, Since: t0, Claims: map[string]Claim{"a": {IdleSince: t0}, "b": {}}}.String())
	f.Add(`{"phase":"Awake","claims":{"a":null}}`)
	f.Fuzz(func(t *testing.T, s string) {
		state, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(state.String())
		if err != nil || again.String() != state.String() {
			t.Errorf("%s reads back as %s, %v", state, again, err)
		}
	})
}

// TestPodsThatLinger: pods that are ready right after a wake may be those that TPA's 0 has yet to end. They are no reason
// to leave the scale at 0, nor to forget that TPA owes it.
func TestPodsThatLinger(t *testing.T) {
	m := machine(State{Phase: Asleep, Since: t0, Replicas: 3, Owed: true})
	in := Inputs{Now: at(1), IdleTimeout: time.Minute, Waiting: true, Ready: 3}
	do(m, m.Next(in), Result{}, in.Now)
	if a := m.Next(Inputs{Now: at(40), IdleTimeout: time.Minute, IdleSince: at(1), Ready: 3}); !a.State.Owed {
		t.Errorf("given up at once: %+v, want it to owe the replicas", a)
	}
	do(m, m.Next(in), Result{Scale: Scale{ResourceVersion: "8"}}, in.Now)
	if a := m.Next(in); a.Kind != WriteScale || a.Replicas != 3 {
		t.Errorf("with pods of before: %+v, want a write of 3", a)
	}
}

// TestSleepReadAgain: a process that has sent a 0 does not forget it by reading the Lease anew. It comes to no claim before
// that 0 cannot arrive any more.
func TestSleepReadAgain(t *testing.T) {
	m := machine(State{Phase: Awake, Since: t0})
	in := Inputs{Now: at(60), IdleTimeout: time.Minute, Ready: 3}
	scale := Result{Scale: Scale{Replicas: 3, ResourceVersion: "7"}}
	for _, r := range []Result{scale, {}, {Outcome: Unknown}} { // read, Sleeping, 0: lost
		do(m, m.Next(in), r, in.Now)
	}
	sleeping, _ := m.State()
	in.Waiting, in.Now = true, at(61)
	for _, r := range []Result{scale, {Outcome: Unknown}} { // read, Sleeping again: lost
		do(m, m.Next(in), r, in.Now)
	}
	in.Now = at(62)
	do(m, m.Next(in), Result{}, in.Now)
	m.Observe(sleeping, true, "seq 1", in.Now)
	if a := m.Next(in); a.Kind == Swap && a.State.Phase != Sleeping {
		t.Errorf("%+v, while the 0 may still arrive", a)
	}
}

// TestScaleFromAnotherSleep: what a process read of the scale when it was about to take a sleep over says nothing about the
// next one, even if it saw no phase in between.
func TestScaleFromAnotherSleep(t *testing.T) {
	m := machine(State{Phase: Sleeping, Since: t0, By: "other/1", Replicas: 3, Owed: true})
	in := Inputs{Now: at(10), IdleTimeout: time.Minute}
	do(m, m.Next(in), Result{Scale: Scale{Replicas: 0, ResourceVersion: "7"}}, in.Now)
	do(m, m.Next(in), Result{Outcome: Conflict}, in.Now)
	do(m, m.Next(in), Result{}, in.Now)
	m.Observe(State{Phase: Sleeping, Since: at(90), By: "other/1", Replicas: 3, Owed: true}, true, "9", at(90))
	in.Now = at(100)
	if a := m.Next(in); a.Kind != ReadScale {
		t.Errorf("%+v, want a look at the scale", a)
	}
}

// TestScaleWrittenInAnotherPhase: nor does the answer to a write of 0 say anything that comes after others have ended that
// sleep.
func TestScaleWrittenInAnotherPhase(t *testing.T) {
	m := machine(State{Phase: Awake, Since: t0})
	in := Inputs{Now: at(60), IdleTimeout: time.Minute}
	for _, r := range []Result{{Scale: Scale{Replicas: 3, ResourceVersion: "7"}}, {}} {
		do(m, m.Next(in), r, in.Now)
	}
	zero := m.Next(in)
	m.Observe(State{Phase: Awake, Since: at(80), Replicas: 3, Owed: true}, true, "9", at(80))
	m.Done(zero, Result{Scale: Scale{Replicas: 0, ResourceVersion: "8"}}, at(140))
	in.Now = at(140)
	if a := m.Next(in); a.Kind != ReadScale {
		t.Errorf("%+v, want a look at the scale", a)
	}
}

// afterSleepAndWake is a Machine whose target was put to sleep by it, woken by a connection, and seen above 0.
func afterSleepAndWake(t *testing.T) *Machine {
	t.Helper()
	m := machine(State{Phase: Awake, Since: t0, Replicas: 2, Owed: true, Claims: map[string]Claim{"me": {}}})
	in := Inputs{Now: at(1), Active: 1, IdleTimeout: time.Minute}
	a := m.Next(in)
	if a.Kind != ReadScale {
		t.Fatalf("%+v, want a look at the scale", a)
	}
	do(m, a, Result{Scale: Scale{Replicas: 2, ResourceVersion: "7"}}, in.Now)
	m.Next(in)
	return m
}

// A person who scales to 0 knows of the connections that are open, and not of those that will come.
func TestZeroByHandStaysUnderConnectionsThatHaveABackend(t *testing.T) {
	m := afterSleepAndWake(t)
	in := Inputs{Now: at(10), Active: 1, Served: true, IdleTimeout: time.Minute}
	if a := m.Next(in); a.Kind != Wait || !a.At.IsZero() {
		t.Errorf("%+v, want to wait for a change", a)
	}
	for name, somebody := range map[string]func(*Inputs){
		"waits for a backend": func(in *Inputs) { in.Served = false },
		"waits at the gate":   func(in *Inputs) { in.Waiting = true },
	} {
		in := in
		somebody(&in)
		if a := afterSleepAndWake(t).Next(in); a.Kind != ReadScale {
			t.Errorf("somebody %s: %+v, want a look at the scale", name, a)
		}
	}
}

// Opting out restores what TPA took, and nothing that a person took after TPA had given it back.
func TestZeroByHandIsNotOwed(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    *Machine
		owed bool
	}{
		{"after TPA's own 0 was undone", afterSleepAndWake(t), false},
		{"before anybody saw it undone", machine(State{Phase: Awake, Since: t0, Replicas: 2, Owed: true}), true},
	} {
		in := Inputs{Now: at(10), IdleSince: at(10), IdleTimeout: time.Minute}
		for {
			a := tt.m.Next(in)
			if a.Kind == Swap && a.State.Phase == Asleep {
				if a.State.Owed != tt.owed {
					t.Errorf("%s: owed %t, want %t", tt.name, a.State.Owed, tt.owed)
				}
				break
			}
			if a.Kind == Wait {
				in.Now = a.At
			}
			do(tt.m, a, Result{Scale: Scale{ResourceVersion: "8"}}, in.Now)
		}
	}
}

// TestRefusalWithAnEarlierWriteOnItsWay: a refusal may end, and then a 0 that was sent before arrives after all. A client that
// waits is let through once that cannot happen any more, and until then nobody has a reason to take over.
func TestRefusalWithAnEarlierWriteOnItsWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State  // as observed first
		lost  bool   // the process's own first write of 0 gets no answer
		moved string // the scale's resourceVersion after 20 s
		want  time.Duration
	}{
		{"its own only write", State{Phase: Awake, Since: t0}, false, "7", 0},
		{"a write whose answer was lost", State{Phase: Awake, Since: t0}, true, "7", requestLife},
		{"a write whose answer was lost, and the scale changes", State{Phase: Awake, Since: t0}, true, "8", 20 * time.Second},
		{"another's", State{Phase: Sleeping, Since: t0, By: "x/1", ScaleVersion: "7", Replicas: 3, Owed: true}, false, "7", requestLife},
		{"another's of before that, and the scale changes", State{Phase: Sleeping, Since: t0, By: "x/1", ScaleVersion: "7", Replicas: 3, Owed: true}, false, "8", 20 * time.Second},
		{"another's, and the scale has changed", State{Phase: Sleeping, Since: t0, By: "x/1", ScaleVersion: "6", Replicas: 3, Owed: true}, false, "7", 0},
		{"another's by an earlier version of TPA", State{Phase: Sleeping, Since: t0, By: "x/1", Replicas: 3, Owed: true}, false, "7", requestLife},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine(tt.state)
			in := Inputs{Now: at(60), IdleTimeout: time.Minute, IdleSince: t0, Ready: 3}
			var refused, seen time.Time // the first refusal, and when others last saw it at work
			for ; !m.Held(); in.Now = in.Now.Add(100 * time.Millisecond) {
				if !refused.IsZero() && in.Now.Sub(refused) > 2*requestLife {
					t.Fatal("waits for ever")
				}
				scale := Scale{Replicas: 3, ResourceVersion: "7"}
				if !refused.IsZero() && in.Now.Sub(refused) >= 20*time.Second {
					scale.ResourceVersion = tt.moved
				}
				a, r := m.Next(in), Result{}
				switch a.Kind {
				case ReadScale:
					r.Scale = scale
				case Swap:
					seen = in.Now
				case WriteScale:
					r.Outcome = Refused
					if tt.lost {
						r.Outcome, tt.lost = Unknown, false
					} else if refused.IsZero() {
						refused, in.Waiting = in.Now, true
					}
				case Wait:
					if !refused.IsZero() && in.Now.Sub(seen) >= TakeOver {
						t.Fatal("silent for so long that it is taken over")
					}
					continue
				}
				do(m, a, r, in.Now)
			}
			if got := in.Now.Sub(refused); got < tt.want-time.Second || got > tt.want+TakeOver {
				t.Errorf("a client was let through %v after the first refusal, want about %v", got, tt.want)
			}
		})
	}
}

// TestContestedLeaseOfBefore: a Lease of an earlier version of TPA says nothing of who scales up.
func TestContestedLeaseOfBefore(t *testing.T) {
	state, err := Parse(`{"phase":"Awake","seq":7,"since":"2001-09-09T01:46:40Z","replicas":2,"owed":true}`)
	if err != nil || state.Contested() || state.ScaleVersion != "" {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestDue(t *testing.T) {
	idle := map[string]Claim{"x": {IdleSince: at(10)}, "y": {IdleSince: at(5)}}
	for _, tt := range []struct {
		name string
		s    State
		want time.Time
	}{
		{"nobody came", State{Phase: Awake, Since: t0}, at(60)},
		{"the last use", State{Phase: Awake, Since: t0, Claims: idle}, at(70)},
		{"one whose claim is gone", State{Phase: Awake, Since: t0, Used: at(20), Claims: idle}, at(80)},
		{"settling", State{Phase: Awake, Since: t0, NotBefore: at(600)}, at(600)},
		{"settled", State{Phase: Awake, Since: t0, NotBefore: at(6)}, at(60)},
		{"in use", State{Phase: Awake, Since: t0, Claims: map[string]Claim{"x": {}}}, time.Time{}},
		{"contested", State{Phase: Awake, Since: t0, Reverted: MaxReverted}, time.Time{}},
		{"falling asleep", State{Phase: Sleeping, Since: t0}, time.Time{}},
		{"asleep", State{Phase: Asleep, Since: t0, Used: at(1)}, time.Time{}},
	} {
		if got := tt.s.Due(time.Minute); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
