//go:build integration

package truth

import (
	"strings"
	"testing"
)

// TestHelm3To4: a release of Helm 3 is upgraded by Helm 4, as it was and server-side.
func TestHelm3To4(t *testing.T) {
	for name, flag := range map[string]string{"auto": "--server-side=auto", "server-side": "--server-side=true"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in := func(how func(batch) (answer, error)) func(batch, bool) (answer, error) {
				return func(b batch, _ bool) (answer, error) { b.dir = dir; return how(b) }
			}
			three, four := helm("", "helm3"), helm("", "helm4", flag)
			upgrade := in(func(b batch) (answer, error) { return four.send(b, false) })
			p := newPair(t, "helm-3-to-4-"+name, in(three.create))
			p.both(sameAgain, upgrade)
			before := p.service(p.live)
			p.both(sameAgain, upgrade)
			if after := p.service(p.live); after.ResourceVersion != before.ResourceVersion {
				t.Errorf("the second time, it changed (-before +after):\n%s", sameObject(before, after))
			}
			p.both(keyDropped, upgrade)
			p.same()
		})
	}
}

// TestHelmAndAnotherKey: a key that somebody added by hand stays over upgrades without TPA. While the Service is
// rewritten Helm sends the chart's keys beside K, and nothing tells which others it knew.
func TestHelmAndAnotherKey(t *testing.T) {
	dir := t.TempDir()
	three := helm("", "helm3")
	p := newPair(t, "helm-and-another-key", func(b batch, _ bool) (answer, error) { b.dir = dir; return three.create(b) })
	p.both(keyAdded.by(`{"spec":{"selector":{"track":"x"}}}`), patch("strategic"))
	p.both(sameAgain, func(b batch, _ bool) (answer, error) { b.dir = dir; return three.send(b, false) })
	if got := show(p.service(p.twin).Spec); !strings.Contains(got, "track=x") {
		t.Errorf("without TPA: %s", got)
	}
	spec, err := meant(p.service(p.live))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(spec), "app=web tier=a | http 80>http, admin 81>9000"; got != want {
		t.Errorf("with TPA %s, want %s", got, want)
	}
}
