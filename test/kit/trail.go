package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Change is one state that an object went through.
type Change[T client.Object] struct {
	At      time.Time // when it was seen here
	Object  T
	Deleted bool
}

// Trail is every state that objects went through since Follow, in order and without gaps: what happened twice is there
// twice, however short it was. Only an API server that was started anew may have forgotten some: then the Trail goes on with
// the objects as they are.
type Trail[T client.Object] struct {
	mu      sync.Mutex
	changes []Change[T]
	more    chan struct{} // closed at the next change
	err     error
}

// Follow follows the objects that are listed until ctx ends. Those that exist are the first changes.
func Follow[T client.Object](ctx context.Context, c *Cluster, list client.ObjectList, opts ...client.ListOption) (*Trail[T], error) {
	t := &Trail[T]{more: make(chan struct{})}
	return t, Tell(ctx, c, list, t.add, opts...)
}

// Tell is Follow that keeps nothing: it calls add with each change, and, after the last one, with why there are no more.
// The objects that exist are added before it returns, changes later, one at a time.
func Tell[T client.Object](ctx context.Context, c *Cluster, list client.ObjectList, add func(Change[T], error), opts ...client.ListOption) error {
	if err := c.List(ctx, list, opts...); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	for _, item := range items {
		add(Change[T]{At: time.Now(), Object: item.(T)}, nil)
	}
	w, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), watcher{c, list, opts})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	go func() {
		err := tell(ctx, w, add)
		if apierrors.IsResourceExpired(err) {
			err = Tell(ctx, c, list.DeepCopyObject().(client.ObjectList), add, opts...)
		}
		if err != nil {
			add(Change[T]{}, err)
		}
	}()
	return nil
}

func tell[T client.Object](ctx context.Context, w watch.Interface, add func(Change[T], error)) error {
	defer w.Stop()
	for event := range w.ResultChan() {
		switch object := event.Object.(type) {
		case T:
			add(Change[T]{At: time.Now(), Object: object, Deleted: event.Type == watch.Deleted}, nil)
		default:
			return fmt.Errorf("watch: %w", apierrors.FromObject(event.Object))
		}
	}
	return fmt.Errorf("watch ended: %w", context.Cause(ctx))
}

func (t *Trail[T]) add(c Change[T], err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.err = err
	} else {
		t.changes = append(t.changes, c)
	}
	close(t.more)
	t.more = make(chan struct{})
}

// Len is the number of changes so far: where those to come begin.
func (t *Trail[T]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.changes)
}

// Since returns the changes from a Len on.
func (t *Trail[T]) Since(from int) []Change[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.changes[from:])
}

// Await returns the first change from a Len on for which is holds, waiting for it if it has not come yet.
func (t *Trail[T]) Await(ctx context.Context, within time.Duration, what string, from int, is func(Change[T]) bool) (Change[T], error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		t.mu.Lock()
		changes, more, err := t.changes, t.more, t.err
		t.mu.Unlock()
		for ; from < len(changes); from++ {
			if is(changes[from]) {
				return changes[from], nil
			}
		}
		if err == nil {
			select {
			case <-more:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			case <-timeout.C:
				err = fmt.Errorf("not within %s", within)
			}
		}
		last := "nothing"
		if len(changes) > 0 {
			last = changes[len(changes)-1].String()
		}
		return Change[T]{}, fmt.Errorf("%s: %w; last seen: %s", what, err, last)
	}
}

// Never watches for a while that no change from a Len on has is hold.
func (t *Trail[T]) Never(ctx context.Context, during time.Duration, what string, from int, is func(Change[T]) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, during, errNever)
	defer cancel()
	change, err := t.Await(ctx, 2*during, what, from, is)
	if err == nil {
		return fmt.Errorf("%s, which must not be: %s", what, change)
	}
	if errors.Is(context.Cause(ctx), errNever) {
		return nil
	}
	return err
}

var errNever = fmt.Errorf("it has not happened")

// watcher is a List's Watch as client-go's tools want it.
type watcher struct {
	c    *Cluster
	list client.ObjectList
	opts []client.ListOption
}

func (w watcher) WatchWithContext(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
	return w.c.Watch(ctx, w.list, append(slices.Clone(w.opts), &client.ListOptions{Raw: &raw})...)
}
