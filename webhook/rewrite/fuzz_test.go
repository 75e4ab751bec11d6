package rewrite

import (
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// FuzzRestore: restore(rewrite(s)) is s, for any selector and any two ports.
func FuzzRestore(f *testing.F) {
	f.Add("app", "web", "tier", "a", int32(80), "http", "http", int32(443), "tls", "8443", "80:20001,443:20002")
	f.Add("app", "web", "", "", int32(80), "", "80", int32(0), "", "", "")
	f.Add(contract.SelectorKey, "x", "app", "y", int32(20001), "", "20001", int32(1), "", contract.PendingTargetPort, "80:20001")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string, p1 int32, n1, t1 string, p2 int32, n2, t2 string, ports string) {
		w := MakeService("web").Target("web").NamedPort(n1, p1, t1)
		w.Select(k1, v1)
		if k2 != "" {
			w.Spec.Selector[k2] = v2
		}
		if p2 != p1 {
			w.NamedPort(n2, p2, t2)
		}
		user := roundTrip(t, w.Obj())
		if !maps.Equal(user.Spec.Selector, w.Spec.Selector) {
			t.Skip("not a string of JSON")
		}
		pending, _, err := tryAdmit(t, Request{New: user})
		if err != nil {
			return
		}
		active, _, err := tryAdmit(t, Request{Old: pending, FromTPA: true, New: edited(pending, func(svc *corev1.Service) {
			svc.Annotations[contract.PhaseKey] = string(contract.Active)
			svc.Annotations[contract.PortsKey] = ports
		})})
		if err != nil {
			if _, bad := contract.ParsePorts(ports); bad == nil {
				t.Fatalf("rejected: %v", err)
			}
			return
		}
		checkOwn(t, active)
		if err := Restore(active); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(user, decode(t, encode(t, active))); diff != "" {
			t.Fatalf("(-user +restored):\n%s", diff)
		}
	})
}

// FuzzForeign: whatever stands in TPA's annotations, nothing panics and a usable original is not lost.
func FuzzForeign(f *testing.F) {
	good := active().Obj().Annotations
	f.Add(good[contract.PhaseKey], good[contract.PortsKey], good[contract.OriginalKey], "", "")
	f.Add("Active", "80:20001,80:20001", `{"selector":{"a":"b"},"targetPorts":{"80":20001}}`, `{"spec":{"selector":{"a":"b"}}}`, "[]")
	f.Add("", "", `{"selector":{"a":"b"},"targetPorts":{"80":1e9,"81":"tpa-pending"},"since":"1"}`, `{"spec":null}`, `{"f:spec":1}`)
	f.Fuzz(func(t *testing.T, phase, ports, original, lastApplied, fields string) {
		foreign := func(svc *corev1.Service) {
			set(contract.PhaseKey, phase)(svc)
			set(contract.PortsKey, ports)(svc)
			set(contract.OriginalKey, original)(svc)
			set(corev1.LastAppliedConfigAnnotation, lastApplied)(svc)
			owns("helm")(svc)
			svc.ManagedFields[1].FieldsV1.SetRawString(fields)
		}
		rewritten, plain := active().Obj(), users().Obj()
		none := edited(plain, func(svc *corev1.Service) { svc.Annotations = map[string]string{} })
		for _, fromTPA := range []bool{false, true} {
			for _, req := range []Request{
				{New: edited(rewritten, foreign)},
				{New: edited(plain, foreign)},
				{Old: rewritten, New: edited(rewritten, foreign)},
				{Old: edited(rewritten, foreign), New: edited(rewritten, foreign)},
				{Old: edited(rewritten, foreign), New: rewritten},
				{Old: edited(plain, foreign), New: plain},
				{Old: none, New: edited(none, foreign)},
				{Old: rewritten, New: edited(rewritten, func(svc *corev1.Service) { foreign(svc); svc.Spec.Selector["tier"] = "b" })},
			} {
				req.FromTPA = fromTPA
				result, errs := Admit(req)
				if len(errs) > 0 {
					continue
				}
				doc, err := json.Marshal(req.New)
				if err != nil {
					t.Skip("not JSON")
				}
				after := patched(t, decode(t, doc), result)
				checkOwn(t, after)
				if result.Phase == "" {
					continue
				}
				got := userForm(t, after)
				if req.Old == rewritten && req.New.Spec.Selector["tier"] == "" && !strings.Contains(original, `"since"`) {
					if diff := cmp.Diff(plain.Spec, got); diff != "" {
						t.Fatalf("the original is lost (-want +got):\n%s", diff)
					}
				}
			}
		}
	})
}

// FuzzLife: any sequence of requests by any client and by the controller leaves the user with what there would be
// without TPA.
func FuzzLife(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Add([]byte("opt in, allocate, activate, patch, apply, edit, opt out, release; 0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, choices []byte) { live(t, choices) })
}

// TestRandomLives is FuzzLife on random choices: the fuzzer seeks new code, and this seeks new sequences.
func TestRandomLives(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	choices := make([]byte, 600)
	taken, steps, rewritten := 0, 0, 0
	for range *lives {
		_, _ = random.Read(choices)
		w := live(t, choices)
		taken, steps, rewritten = taken+w.taken, steps+len(w.log), rewritten+w.rewritten
	}
	t.Logf("%d lives, %d requests: %d admitted, %d of them on a rewritten Service", *lives, steps, taken, rewritten)
	if taken < steps/2 || rewritten < taken/4 {
		t.Error("most requests come to nothing: the property is hardly tested")
	}
}

var lives = flag.Int("lives", 40, "lives that TestRandomLives plays")

func live(t testing.TB, choices []byte) *world {
	w := &world{t: t, dice: &dice{choices}, given: map[int32]bool{}}
	w.without = MakeService("web").Annotate("example.com/note", "").Obj()
	w.without.Spec = w.randomSpec()
	w.users = people
	if w.dice.roll(3) == 0 {
		w.users = helm
		w.applied = w.without.DeepCopy()
		owns("helm")(w.without)
	}
	w.users = slices.Concat(w.users, anybody)
	w.live = w.without.DeepCopy()
	for len(w.dice.bytes) > 0 && len(w.log) < 200 {
		w.step()
	}
	return w
}

func (w *world) step() {
	w.t.Helper()
	fromTPA := w.dice.roll(3) == 0
	clients := w.users
	if fromTPA {
		clients = controller
	}
	before := w.applied
	name, change := clients[w.dice.roll(len(clients))](w)
	w.log = append(w.log, name)

	incoming, without := w.live.DeepCopy(), w.without.DeepCopy()
	change(incoming)
	if !fromTPA {
		old := w.without
		w.without = without // forge asks which one it gets
		change(without)
		w.without = old
	}
	// The webhook is called for what is managed and for what asks to be.
	_, was := w.live.Annotations[contract.PhaseKey]
	if !was && !hasTarget(incoming) {
		if _, forged := incoming.Annotations[contract.PhaseKey]; forged || fromTPA {
			w.applied = before
			return
		}
	}
	after, _, err := tryAdmit(w.t, Request{Old: w.live, New: incoming, FromTPA: fromTPA})
	if err != nil || !valid(after) || !valid(without) {
		w.log[len(w.log)-1] += " (refused)"
		w.applied = before
		return
	}
	w.taken++
	if contract.IsProxySelector(w.live.Spec.Selector) {
		w.rewritten++
	}
	w.live, w.without = committed(after), committed(without)
	w.check()
}

func (w *world) check() {
	w.t.Helper()
	checkOwn(w.t, w.live)
	spec := w.live.Spec
	if _, managed := w.live.Annotations[contract.PhaseKey]; managed {
		spec = userForm(w.t, w.live)
	}
	if diff := cmp.Diff(w.without.Spec, spec); diff != "" {
		w.t.Fatalf("after\n  %s\nthe user has something else than without TPA (-want +got):\n%s\nlive %v",
			strings.Join(w.log, "\n  "), diff, w.live.Annotations)
	}
	if !contract.Phase(w.live.Annotations[contract.PhaseKey]).Rewritten() {
		return
	}
	for _, port := range w.live.Spec.Ports {
		if slot := port.TargetPort; slot.Type == intstr.Int && !w.given[slot.IntVal] {
			w.t.Fatalf("after\n  %s\nport %d points at %s, which this Service never had",
				strings.Join(w.log, "\n  "), port.Port, slot.String())
		}
	}
}

// checkOwn: what TPA writes on a Service fits together.
func checkOwn(t testing.TB, svc *corev1.Service) {
	t.Helper()
	phase, managed := svc.Annotations[contract.PhaseKey]
	if (svc.Labels[contract.ManagedLabel] == contract.ManagedTrue) != managed {
		t.Fatalf("phase %q, labels %v", phase, svc.Labels)
	}
	if !managed {
		if svc.Spec.Selector[contract.SelectorKey] != "" || svc.Annotations[contract.OriginalKey] != "" {
			t.Fatalf("unmanaged, and %+v", svc)
		}
		return
	}
	if _, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey]); err != nil {
		t.Fatal(err)
	}
	ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
	if err != nil {
		t.Fatal(err)
	}
	if rewritten := contract.Phase(phase).Rewritten(); rewritten != contract.IsProxySelector(svc.Spec.Selector) {
		t.Fatalf("phase %s, selector %v", phase, svc.Spec.Selector)
	} else if rewritten {
		for _, port := range svc.Spec.Ports {
			want := intstr.FromString(contract.PendingTargetPort)
			if slot, ok := ports[port.Port]; ok {
				want = intstr.FromInt32(slot)
			}
			if isTCP(port) && port.TargetPort != want {
				t.Fatalf("port %d points at %s, want %s", port.Port, port.TargetPort.String(), want.String())
			}
		}
	}
}

func encode(t testing.TB, svc *corev1.Service) []byte {
	t.Helper()
	doc, err := json.Marshal(svc)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
