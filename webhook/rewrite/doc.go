// Package rewrite decides what becomes of a Service on its way into the API server: which selector and targetPorts are
// live, which ones the user meant, and what TPA notes on the Service.
//
//	result, errs := rewrite.Admit(rewrite.Request{Old: old, New: incoming, FromTPA: user == self})
//	if len(errs) > 0 {
//		return errs // each names a field, its value and the way out
//	}
//	result.Patch // explicit JSON patch operations on selector, targetPorts and TPA's own metadata
//
// Every client has its own way of sending a Service whose live selector is TPA's: with the reserved key, without it,
// with a part of the selector, or as an old export. Here each of them is read as what its user would have got without
// TPA (selector.go, ports.go), and that is what the original holds.
//
// It is pure: no client, no clock, no cache. An admission request is tried again whenever the object changed meanwhile,
// so Old is the committed predecessor; and a request may pass twice in a row (reinvocationPolicy), so a decision applied
// to its own result changes nothing. It does not ask who may scale a target: Result.NeedsScale says when to.
package rewrite
