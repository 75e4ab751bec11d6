package main

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
	"tpa.dev/tpa/test/soak/fault"
)

var at = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// known is facts of a few pods.
type known struct{}

func (known) placeOf(address string) place {
	return map[string]place{
		"10.0.2.9": {pod: "tpa-proxy-x", node: "node2"}, "10.0.1.8": {pod: "tpa-proxy-y", node: "node1", ending: at.Add(33 * time.Second)},
	}[address]
}
func (known) nodeOf(pod string) string { return map[string]string{"web-1": "node2"}[pod] }

func TestExcuses(t *testing.T) {
	seconds := func(s float64) time.Time { return at.Add(time.Duration(s * float64(time.Second))) }
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	killed := fault.Victim{At: at, Pod: "tpa-proxy-x", IP: "10.0.2.9"}
	cut := fault.Victim{At: at, Node: "node2"}
	down := fault.Victim{At: at, Target: "web", Down: true}
	scaled := fault.Victim{At: at, Target: "web"}
	paused := &strike{fault: fault.Fault{On: fault.ControlPlane}, begun: seconds(100), healed: seconds(110)}
	withoutKubelet := &strike{fault: fault.Fault{On: fault.Node}, begun: seconds(200), healed: seconds(215)}
	withoutKubelet.struck(fault.Victim{At: seconds(200), Kubelet: "node2"})
	noRoute := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
	killedLater := killed
	killedLater.At = seconds(100)
	killedThere, killedElsewhere := killed, killed
	killedThere.At, killedElsewhere.At, killedElsewhere.IP = seconds(205), seconds(205), "10.0.1.8"
	for _, test := range []struct {
		name       string
		may        fault.MayLose
		victim     fault.Victim
		begun, end float64 // seconds after it was struck
		via        string
		from       string
		who        call.Who
		err        error
		want       excuse
	}{
		{name: "inside a killed process", may: fault.InKilledProcess, victim: killed, begun: -1, end: 0.1, via: "10.0.2.9", err: syscall.ECONNRESET, want: inside},
		{name: "ended in order", may: fault.InKilledProcess, victim: killed, begun: -1, end: 0.1, via: "10.0.2.9", err: io.EOF, want: inside},
		{name: "through another proxy", may: fault.InKilledProcess, victim: killed, begun: -1, end: 0.1, via: "10.0.1.9", err: syscall.ECONNRESET},
		{name: "through who knows", may: fault.InKilledProcess, victim: killed, begun: -1, end: 0.1, err: syscall.ECONNRESET},
		{name: "before", may: fault.InKilledProcess, victim: killed, begun: -2, end: -1, via: "10.0.2.9", err: syscall.ECONNRESET},
		{name: "seen long after", may: fault.InKilledProcess, victim: killed, begun: -1, end: 5, via: "10.0.2.9", err: io.EOF, want: inside},
		{name: "begun right after", may: fault.InKilledProcess, victim: killed, begun: 0.1, end: 0.2, via: "10.0.2.9", err: syscall.ECONNRESET, want: inside},
		{name: "begun long after", may: fault.InKilledProcess, victim: killed, begun: 2.1, end: 2.2, via: "10.0.2.9", err: syscall.ECONNRESET},
		{name: "refused by nobody", may: fault.InKilledProcess, victim: killed, begun: 0.1, end: 0.2, via: "10.0.2.9", err: refused, want: unnoticed},
		{name: "refused elsewhere", may: fault.InKilledProcess, victim: killed, begun: 0.1, end: 0.2, via: "10.0.1.9", err: refused},
		{name: "refused for too long", may: fault.InKilledProcess, victim: killed, begun: 11, end: 11, via: "10.0.2.9", err: refused},
		{name: "refused while nobody can notice", may: fault.InKilledProcess, victim: killedLater, begun: 119, end: 119, via: "10.0.2.9", err: refused, want: unnoticed},
		{name: "refused for too long after that", may: fault.InKilledProcess, victim: killedLater, begun: 121, end: 121, via: "10.0.2.9", err: refused},
		{name: "refused while the kubelet cannot notice", may: fault.InKilledProcess, victim: killedThere, begun: 224, end: 224, via: "10.0.2.9", err: refused, want: unnoticed},
		{name: "refused for too long after that, too", may: fault.InKilledProcess, victim: killedThere, begun: 226, end: 226, via: "10.0.2.9", err: refused},
		{name: "refused where the kubelet can", may: fault.InKilledProcess, victim: killedElsewhere, begun: 216, end: 216, via: "10.0.1.8", err: refused},
		{name: "nothing may be lost", may: fault.Nothing, victim: killed, begun: -1, end: 0.1, via: "10.0.2.9", err: syscall.ECONNRESET},

		{name: "from a cut node", may: fault.OnCutNode, victim: cut, begun: 1, end: 9, from: "node2", err: syscall.ETIMEDOUT, want: inside},
		{name: "to a proxy there", may: fault.OnCutNode, victim: cut, begun: 1, end: 9, from: "node1", via: "10.0.2.9", err: syscall.ETIMEDOUT, want: inside},
		{name: "to a pod there", may: fault.OnCutNode, victim: cut, begun: 1, end: 9, from: "node1", who: call.Who{Pod: "web-1"}, err: syscall.ETIMEDOUT, want: inside},
		{name: "beside it", may: fault.OnCutNode, victim: cut, begun: 1, end: 9, from: "node1", via: "10.0.1.9", err: syscall.ETIMEDOUT},
		{name: "once it is back", may: fault.OnCutNode, victim: cut, begun: 31, end: 40, from: "node2", err: syscall.ETIMEDOUT},
		{name: "to a pod that has gone meanwhile", may: fault.OnCutNode, victim: cut, begun: 36, end: 50, from: "node2", err: noRoute, want: unnoticed},
		{name: "to such a pod from another node", may: fault.OnCutNode, victim: cut, begun: 36, end: 50, from: "node1", err: noRoute},
		{name: "to such a pod, long after", may: fault.OnCutNode, victim: cut, begun: 61, end: 65, from: "node2", err: noRoute},
		{name: "refused by a proxy that has been told to end", may: fault.OnCutNode, victim: cut, begun: 36, end: 36, from: "node2", via: "10.0.1.8", err: refused, want: unnoticed},
		{name: "by such a proxy from another node", may: fault.OnCutNode, victim: cut, begun: 36, end: 36, from: "node1", via: "10.0.1.8", err: refused},
		{name: "by such a proxy before it was told", may: fault.OnCutNode, victim: cut, begun: 32, end: 32, from: "node2", via: "10.0.1.8", err: refused},
		{name: "by such a proxy, long after", may: fault.OnCutNode, victim: cut, begun: 61, end: 61, from: "node2", via: "10.0.1.8", err: refused},
		{name: "by one that is to stay", may: fault.OnCutNode, victim: cut, begun: 36, end: 36, from: "node2", via: "10.0.1.9", err: refused},

		{name: "at a broken target", may: fault.AtBrokenTarget, victim: down, begun: 20, end: 140, err: io.EOF, want: inside},
		{name: "once that is right", may: fault.AtBrokenTarget, victim: down, begun: 31, end: 140, err: io.EOF},
		{name: "at another target", may: fault.AtBrokenTarget, victim: fault.Victim{At: at, Target: "shop", Down: true}, begun: 20, end: 140, err: io.EOF},
		{name: "in a pod that was scaled away", may: fault.AtBrokenTarget, victim: scaled, begun: -1, end: 2, err: io.EOF, want: inside},
		{name: "after that", may: fault.AtBrokenTarget, victim: scaled, begun: 3, end: 4, err: io.EOF},
	} {
		s := &strike{fault: fault.Fault{MayLose: test.may}}
		s.struck(test.victim)
		s.heal(seconds(30))
		c := connection{
			begun: seconds(test.begun), ended: seconds(test.end), via: test.via, from: kit.Node{Name: test.from}, who: test.who,
			err: test.err, service: service{name: "web", targets: []string{"web"}},
		}
		if got := s.excuses(c, known{}, []*strike{s, paused, withoutKubelet}); got != test.want {
			t.Errorf("%s: excuse %q, want %q", test.name, got, test.want)
		}
	}
}
