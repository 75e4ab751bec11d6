package target

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"tpa.dev/tpa/proxy/sleep"
)

// absence is what is known of a workload that does not exist.
type absence struct {
	// since is when it was first missed; the zero time while it exists, or nobody has looked.
	since time.Time
	// looked is when its scale was last asked for; wanted says that it should be again.
	looked time.Time
	wanted bool
}

// Look has the Keeper look soon whether a workload that was missing is there again. Calls cost nothing while it is not
// missing, and otherwise lead to one look in sleep.Recheck.
func (k *Keeper) Look() {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	a := &k.absence
	if a.since.IsZero() || a.wanted {
		return
	}
	a.wanted = true
	time.AfterFunc(time.Until(a.looked.Add(sleep.Recheck)), k.poke)
}

// look looks if that is due.
func (k *Keeper) look(ctx context.Context) {
	k.gate.mu.Lock()
	a := k.absence
	k.gate.mu.Unlock()
	if !a.wanted || time.Since(a.looked) < sleep.Recheck {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_, _, err := k.config.Store.scale(ctx, k.config.Namespace, k.config.Target)
	k.looked(err)
}

// looked takes in how a call for the scale ended.
func (k *Keeper) looked(err error) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	a, missed := &k.absence, !k.absence.since.IsZero()
	a.looked, a.wanted = time.Now(), false
	missing := apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
	switch {
	case missing && !missed:
		a.since = a.looked
	case err == nil && missed:
		a.since = time.Time{}
	default:
		return
	}
	k.view.MissingSince = a.since
	if k.config.OnPhase != nil {
		k.config.OnPhase()
	}
}
