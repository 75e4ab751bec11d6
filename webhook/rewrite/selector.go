package rewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

var selectorPath = field.NewPath("spec", "selector")

// userSelector reads the selector that the user means out of the one that the client sent, with a warning where the
// client may have meant another.
func (m memory) userSelector(req Request, phase contract.Phase) (map[string]string, string, *field.Error) {
	sent := req.New.Spec.Selector
	reserved, marked := sent[contract.SelectorKey]
	if !marked {
		if len(sent) == 0 && (phase != "" || m.phase.Rewritten()) {
			return nil, "", field.Required(selectorPath, m.noSelector())
		}
		return sent, "", nil
	}

	user := maps.Clone(sent)
	delete(user, contract.SelectorKey)
	if len(user) == 0 {
		return m.unchanged(req)
	}
	if req.Old == nil || !isMarked(req.Old.Spec.Selector) {
		return nil, "", field.Invalid(selectorPath.Key(contract.SelectorKey), reserved,
			"the key is TPA's own: remove it from the selector")
	}
	if covers(user, m.original.Selector) {
		return user, "", nil
	}

	// The client merged into the live selector without seeing the user's: what it sent is only a part.
	if applied, ok := lastAppliedSelector(req.New); ok && maps.Equal(applied, user) {
		// Client-side apply sends every key of the manifest, and drops those that only the previous manifest had.
		merged := maps.Clone(m.original.Selector)
		previous, _ := lastAppliedSelector(req.Old)
		for key := range previous {
			delete(merged, key)
		}
		maps.Copy(merged, user)
		return merged, "", nil
	}
	if sentByHelm(req.New) {
		// Helm sends every key of the chart; nothing tells which other ones it knew before.
		return user, "", nil
	}
	merged := maps.Clone(m.original.Selector)
	maps.Copy(merged, user)
	return merged, fmt.Sprintf("spec.selector: %s is read as a change of %s, which gives %s; "+
		"to replace the whole selector, apply the whole Service",
		show(user), show(m.original.Selector), show(merged)), nil
}

// unchanged is the case of a selector that holds nothing but TPA's key.
func (m memory) unchanged(req Request) (map[string]string, string, *field.Error) {
	if !m.usable() {
		return nil, "", field.Invalid(selectorPath, show(req.New.Spec.Selector),
			"it is TPA's own and nothing tells which one it stands for: write the selector of your pods")
	}
	if m.phase == "" {
		return m.original.Selector, "the Service was exported while TPA had rewritten it: its own selector and " +
			"targetPorts are taken from " + contract.OriginalKey, nil
	}
	return m.original.Selector, "", nil
}

func (m memory) noSelector() string {
	if m.phase.Rewritten() {
		return "TPA finds the pods by it: keep it, or remove " + contract.TargetKey + " first and wait until " +
			contract.PhaseKey + " is gone"
	}
	return "TPA finds the pods by it: write one, or remove " + contract.TargetKey
}

func isMarked(selector map[string]string) bool {
	_, ok := selector[contract.SelectorKey]
	return ok
}

// covers reports whether a holds every key of b.
func covers(a, b map[string]string) bool {
	for key := range b {
		if _, ok := a[key]; !ok {
			return false
		}
	}
	return true
}

// show prints a selector as kubectl does.
func show(selector map[string]string) string {
	var b strings.Builder
	for i, key := range slices.Sorted(maps.Keys(selector)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(key + "=" + selector[key])
	}
	return b.String()
}
