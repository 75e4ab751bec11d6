//go:build integration

package truth

import (
	"context"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
)

// row is an edit by a client.
type row struct {
	edit edit
	// arrives is the selector and the ports as they reach TPA while the Service is rewritten, see show; "nothing" if no
	// request does.
	arrives string
	comes   outcome
}

// outcome is what comes of a row. The zero value: the user has what the twin has, in every phase.
type outcome struct {
	// refused is what the client is told, in every phase; nothing changes.
	refused []string
	// lost is what the client is told while the Service is rewritten, where the request fits what the user wrote and not
	// what is live; nothing changes.
	lost string
	// means is what the user has while the Service is rewritten, where it is not what the twin has.
	means string
	// warns is what the client is warned of while the Service is rewritten.
	warns string
}

var asTwin outcome

// warning is an outcome with a warning while the Service is rewritten.
func (o outcome) warning(text string) outcome {
	o.warns = text
	return o
}

// refuses returns what the client is told in a place; nothing if the request goes through.
func (o outcome) refuses(p place) []string {
	switch {
	case p.phase != "" && o.refused != nil:
		return o.refused
	case p.phase.Rewritten() && o.lost != "":
		return []string{o.lost}
	}
	return nil
}

// alone reports whether each Service is sent alone: what is refused keeps some clients from the rest.
func (o outcome) alone() bool { return o.refused != nil || o.lost != "" }

// table is all that one client does.
type table struct {
	client client
	rows   []row
}

// client is a way in which people send Services.
type client struct {
	name string
	// create brings the Services of a batch. Nil: as send does.
	create func(batch) (answer, error)
	// send brings them to what the edits make of them.
	send func(b batch, dryRun bool) (answer, error)
	// noDryRun: the client has none that asks the API server.
	noDryRun bool
	// whole: what a batch leaves out, the client deletes.
	whole bool
	// optOut is how the client removes the annotation; its zero value is optedOut.
	optOut edit
}

// batch is what a client sends in one go.
type batch struct {
	ctx context.Context
	// dir is the client's own, and the same from one batch to the next.
	dir  string
	docs []doc
}

// doc is one Service of a batch.
type doc struct {
	namespace string
	// manifest is what the user has in hand, edited.
	manifest *manifest
	edit     edit
}

// answer is what a client says.
type answer struct {
	// shown are the resulting Services by namespace, if the client shows them.
	shown    map[string]*corev1.Service
	warnings string
}

// tally counts cells: a row in one phase.
type tally struct{ run, passed atomic.Int32 }
