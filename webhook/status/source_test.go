package status

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
)

// slow reads in a time, and counts how often it is asked.
type slow struct {
	takes time.Duration
	err   error
	asked atomic.Int32
}

func (s *slow) read(ctx context.Context) ([]*view.Namespace, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return []*view.Namespace{shop(time.Now())}, s.err
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestOneReadingForAll: a crowd has the API server read once, nobody not at all, and one who stays every 5 s.
func TestOneReadingForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 100 * time.Millisecond}
		source := &Source{Read: s.read}
		for range 100 {
			go func() {
				if snapshot, err := source.Snapshot(within(t, time.Second)); err != nil || len(snapshot.Explanations) != 5 {
					t.Errorf("%v, %v", snapshot, err)
				}
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := s.asked.Load(); n != 1 {
			t.Errorf("100 viewers: read %d times", n)
		}
		time.Sleep(time.Hour)
		if n := s.asked.Swap(0); n != 1 {
			t.Errorf("no viewer: read %d times", n-1)
		}
		for range 60 {
			if _, err := source.Snapshot(within(t, time.Second)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if n := s.asked.Load(); n < 10 || n > 12 {
			t.Errorf("a viewer for a minute: read %d times", n)
		}
	})
}

// TestLargeCluster: what takes long to read is read the more rarely, shown meanwhile as it was, and waited for no longer than a
// viewer does.
func TestLargeCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 30 * time.Second}
		source := &Source{Read: s.read}
		if snapshot, err := source.Snapshot(within(t, time.Second)); snapshot != nil || !errors.Is(err, errReading) {
			t.Errorf("%v, %v", snapshot, err)
		}
		time.Sleep(30 * time.Second) // it goes on though nobody waits
		first, err := source.Snapshot(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(rests*s.takes - 2*time.Second)
		if again, err := source.Snapshot(within(t, time.Second)); err != nil || again != first || s.asked.Load() != 1 {
			t.Errorf("%v, %v, read %d times", again, err, s.asked.Load())
		}
		time.Sleep(2 * time.Second)
		if again, err := source.Snapshot(within(t, time.Second)); err != nil || again != first || s.asked.Load() != 2 {
			t.Errorf("while it is read again: %v, %v, read %d times", again, err, s.asked.Load())
		}
		time.Sleep(30 * time.Second)
		if again, err := source.Snapshot(within(t, time.Second)); err != nil || again == first {
			t.Errorf("%v, %v", again, err)
		}
	})
}

// TestReadingFails: what was read before is shown with why there is nothing newer, and the API server is not asked all the more.
func TestReadingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		source := &Source{Read: s.read}
		first, err := source.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.err = errRefused
		for range 100 {
			if last, err := source.Snapshot(t.Context()); last != first || !errors.Is(err, errRefused) {
				t.Errorf("%v, %v", last, err)
			}
		}
		if n := s.asked.Load(); n != 2 {
			t.Errorf("read %d times", n)
		}
		s.err = nil
		time.Sleep(defaultEvery)
		if last, err := source.Snapshot(t.Context()); last == first || err != nil {
			t.Errorf("%v, %v", last, err)
		}
	})
}

// TestReadingPanics: what the page does not understand ends the reading, and not the webhook.
func TestReadingPanics(t *testing.T) {
	for name, source := range map[string]*Source{
		"reading":    {Read: func(context.Context) ([]*view.Namespace, error) { panic("what is this?") }},
		"explaining": reads(nil),
	} {
		snapshot, err := source.Snapshot(t.Context())
		if snapshot != nil || err == nil || !strings.Contains(err.Error(), "panic: ") || !strings.Contains(err.Error(), "source.go") {
			t.Errorf("%s: %v, %v", name, snapshot, err)
		}
	}
}

// TestSaved: a target that two Services share counts once, and its present sleep counts.
func TestSaved(t *testing.T) {
	now := time.Now()
	got, observed := saved(shop(now).ExplainAll(), now)
	if want := 7200.0 + 3*3*3600; got.Replicas != want {
		t.Errorf("%v replica-seconds, want %v", got.Replicas, want)
	}
	if want := (contract.Saved{Replicas: 5400}); observed != want {
		t.Errorf("observed %+v, want %+v", observed, want)
	}
	if want := 0.5 * 3 * 3 * 3600; got.CPU != want {
		t.Errorf("%v core-seconds, want %v", got.CPU, want)
	}
	if want := 3 * 3 * 3600.0 * (1 << 30); got.Memory != want {
		t.Errorf("%v byte-seconds, want %v", got.Memory, want)
	}
}
