//go:build !portable

package relay

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
)

const (
	// slice is how much of a sustained flow is moved before others have their turn.
	slice = 1 << 20
	// sustained is how much one read, or one turn of a sustained flow, must bring for the flow to be a sustained one.
	sustained = bufferSize / 2
)

// flow is one direction of a session. It runs on the loop of its connections, and holds the session's mu there.
type flow struct {
	s        *Session
	src, dst *tcp.Conn
	cargo    cargo // read and not yet written: dst is slower than src
	moved    int64
	broken   error // why dst takes no more
	ended    bool  // nothing more is read
	hot      bool  // sustained: moved in slices
	urgent   bool  // src has sent urgent data: nothing is spliced
	putOff   bool  // waits for its turn
}

func (f *flow) back() *flow {
	if f == &f.s.up {
		return &f.s.down
	}
	return &f.s.up
}

// sides returns how to name a failure of src and one of dst.
func (f *flow) sides() (src, dst error) {
	if f == &f.s.up {
		return ErrClient, ErrBackend
	}
	return ErrBackend, ErrClient
}

// Ready is told of the events of src: it can be read from, or the opposite direction can write to it.
func (f *flow) Ready(events tcp.Events) {
	f.s.mu.Lock()
	defer f.s.unlock()
	if f.s.wake != nil && !f.s.goesOn(events) {
		return
	}
	if events&tcp.Writable != 0 && !f.s.over {
		f.back().resume()
	}
	if events&tcp.Readable != 0 && !f.s.over {
		f.advance(events)
	}
}

// advance reads on after events of src, unless it is not yet time to.
func (f *flow) advance(events tcp.Events) {
	f.urgent = f.urgent || events&tcp.Urgent != 0
	switch {
	case f.ended || !f.cargo.empty():
		if events&tcp.Failed != 0 {
			f.lookForFailure()
		}
	case f.hot:
		f.later()
	default:
		f.exchange(events)
	}
}

// lookForFailure ends the session if src has failed while nobody reads from it.
func (f *flow) lookForFailure() {
	if f.endedByReset() {
		return
	}
	if err := f.src.Failure(); err != nil {
		src, _ := f.sides()
		f.s.fail(src, os.NewSyscallError("read", err))
	}
}

// endedByReset ends the session if the opposite direction, writing, was told of a reset of src. The kernel reports one
// once, to whoever asks first; this direction only sees a plain end, or nothing.
func (f *flow) endedByReset() bool {
	broken := f.back().broken
	if broken == nil || closedFirst(broken) {
		return false
	}
	src, _ := f.sides()
	f.s.fail(src, os.NewSyscallError("write", broken))
	return true
}

// exchange moves what src has sent. Events come once for each change, and those at hand are from before the read. So a
// read that does not fill the buffer has emptied the socket, and whatever comes after it is another event; unless the
// peer was about to close: that is a change too, and may have come with the data. Nor is urgent data what it reads up to.
func (f *flow) exchange(events tcp.Events) {
	for {
		n, ok := f.load((*cargo).read)
		if !ok || !f.deliver() {
			return
		}
		f.cargo.drop()
		if n >= sustained {
			f.hot = true
			f.later()
			return
		}
		if events&(tcp.Ending|tcp.Urgent) == 0 {
			return
		}
	}
}

// later puts a slice of a sustained flow off until others have had their turn.
func (f *flow) later() {
	if !f.putOff {
		f.putOff = true
		f.src.Loop().Later(f)
	}
}

// Run moves a slice of a sustained flow.
func (f *flow) Run() {
	f.s.mu.Lock()
	defer f.s.unlock()
	f.putOff = false
	if f.s.over || f.ended || !f.cargo.empty() {
		return
	}
	f.hot = false
	read := (*cargo).fill
	if f.urgent {
		read = (*cargo).readLarge
	}
	for moved := 0; moved < slice; {
		n, ok := f.load(read)
		if !ok {
			return
		}
		moved += n
		f.hot = f.hot || moved >= sustained
		if !f.deliver() {
			return
		}
	}
	f.cargo.drop()
	f.later()
}

// resume writes what dst did not take before, and reads on.
func (f *flow) resume() {
	if f.cargo.empty() || !f.deliver() {
		return
	}
	f.cargo.drop()
	f.advance(tcp.Ending)
}

// load reads once, by read. It returns false if there is nothing to write: src has sent nothing, has ended or failed.
func (f *flow) load(read func(*cargo, int) (int, error)) (n int, ok bool) {
	n, err := read(&f.cargo, f.src.FD())
	switch {
	case err == nil && n > 0:
		return n, true
	case err == nil:
		f.cargo.drop()
		f.end()
	case errors.Is(err, unix.EAGAIN):
		f.cargo.drop()
	default:
		src, _ := f.sides()
		f.s.fail(src, os.NewSyscallError("read", err))
	}
	return 0, false
}

// deliver writes what was read. It returns false if dst does not take all of it now, or never will.
func (f *flow) deliver() bool {
	n, err := f.cargo.write(f.dst.FD())
	if n > 0 {
		f.moved += int64(n)
		f.s.last = f.s.act.moved(f.counter(), n, f.src.Loop().Now())
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, unix.EAGAIN):
	default:
		f.refused(err)
	}
	return false
}

func (f *flow) counter() *atomic.Int64 {
	if f == &f.s.up {
		return &f.s.act.toBackend
	}
	return &f.s.act.toClient
}

// end passes on that src has ended.
func (f *flow) end() {
	if f.endedByReset() {
		return
	}
	f.ended = true
	if f.back().ended {
		f.s.finish()
		return
	}
	f.dst.CloseWrite()
}

// refused deals with a dst that takes no more. If it is dead, what it sent before may still wait to be read, for
// instance the reason it hung up: the opposite direction reads on to the end, which does not block, and decides.
func (f *flow) refused(err error) {
	if !peerGone(err) {
		_, dst := f.sides()
		f.s.fail(dst, os.NewSyscallError("write", err))
		return
	}
	f.broken, f.ended = err, true
	f.cargo.drop()
	if back := f.back(); back.ended {
		f.s.finish()
	} else {
		back.advance(tcp.Ending)
	}
}
