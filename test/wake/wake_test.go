package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStagesAddUp: whoever has seen the end of a stage, all of them together are the wake.
func TestStagesAddUp(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	pod, first := podTimes{scheduled: at(40), started: at(400), ready: at(450)}, at(460)
	var line woken
	err := json.Unmarshal([]byte(`{"level":"info","ts":1700000000.5,"msg":"target: woken","target":"deployment/tpa",
		"held":1700000000.002,"for":"192.0.2.7","replicas":1,"decide":0.008,"scale":0.01,"ready":0.433,"notice":0.004,"dial":0.001}`), &line)
	if err != nil {
		t.Fatal(err)
	}
	if err := line.complete(); err != nil {
		t.Fatal(err)
	}
	ms := time.Millisecond
	for name, c := range map[string]struct{ got, want stages }{
		"through TPA": {line.stages(began, pod, first), stages{
			accept: 2 * ms, decide: 8 * ms, scale: 10 * ms, schedule: 20 * ms, start: 360 * ms, ready: 50 * ms, notice: 7 * ms, dial: 3 * ms,
		}},
		"by hand": {byHand(began, at(30), pod, first), stages{
			scale: 30 * ms, schedule: 10 * ms, start: 360 * ms, ready: 50 * ms, serve: 10 * ms,
		}},
	} {
		var sum time.Duration
		for s, took := range c.got {
			sum += took
			c.got[s] = took.Round(10 * time.Microsecond) // the proxy's times are decimal fractions of seconds since 1970
		}
		if diff := cmp.Diff(c.want, c.got, cmp.AllowUnexported(stage{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if sum.Round(time.Microsecond) != first.Sub(began) {
			t.Errorf("%s: %s in all, want %s", name, sum, first.Sub(began))
		}
	}
}

func TestLineWithoutAStageIsNotComplete(t *testing.T) {
	var line woken
	if err := json.Unmarshal([]byte(`{"msg":"target: woken","held":1,"decide":1,"ready":1,"notice":1,"dial":1}`), &line); err != nil {
		t.Fatal(err)
	}
	if err := line.complete(); err == nil {
		t.Error("complete without the stage scale")
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for arg, says := range map[string]string{
		"--rounds=-1": "--rounds -1", "--many-rounds=-2": "--many-rounds -2", "--many=0": "--many 0", "--many=201": "--many 201", "now": `"now"`,
		"--beside=polled,by-hand": `"by-hand" is not accepted: write some of polled, kubectl, direct`, "--beside=direct,direct": `"direct"`,
	} {
		if _, err := parse([]string{arg}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %s", arg, err, says)
		}
	}
	got, err := parse([]string{"--rounds=3", "--probe", "--many=7", "--many-rounds=1", "--beside=direct"})
	want := options{rounds: 3, ways: []string{throughTPA, direct}, probe: true, many: 7, manyRounds: 1}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}
