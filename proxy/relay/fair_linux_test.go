//go:build !portable

package relay

import (
	"io"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// A message waits for one slice of one bulk flow at most, not for one of each, however many there are. The message is sent
// by the loop itself, so that nothing but the loop decides how long it waits.
func TestBulkLeavesRoomForMessages(t *testing.T) {
	const flows, messages = 50, 500
	loops := tcptest.Loops(t, 1)
	var bulk Activity
	var peers sync.WaitGroup
	var sessions []*Session
	for range flows {
		front, client := tcptest.Pair(t, loops)
		back, backend := tcptest.Pair(t, loops)
		sessions = append(sessions, Start(front, back, &bulk, func(Result) {}))
		peers.Go(func() {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := client.Write(chunk); err != nil {
					return
				}
			}
		})
		peers.Go(func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, onlyReader{backend}, make([]byte, 1<<20))
		})
	}
	tcptest.Eventually(t, "the flows are sustained", func() bool { return bulk.ToBackend() > flows<<20 })
	var waits [messages]int64
	got := 0
	done := make(chan struct{})
	near, far := tcptest.LoopPair(t, loops)
	var before int64
	err := near.Notify(tcptest.HandlerFunc(func(tcp.Events) {
		var b [2]byte
		if n, _ := unix.Read(near.FD(), b[:]); n == 1 {
			waits[got] = bulk.ToBackend() - before
			got++
		} else if got > 0 {
			return // an event that is not of the message
		}
		if got == messages {
			close(done)
			return
		}
		before = bulk.ToBackend()
		_, _ = far.Write(b[:1])
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-done
	for _, s := range sessions {
		s.Abort()
	}
	peers.Wait()
	slices.Sort(waits[:])
	// All but a few, because the kernel may leave the delivery of a message to another thread.
	if wait := waits[messages*9/10]; wait > 2*slice {
		t.Errorf("a tenth of the messages waited for %d KiB of bulk or more, a slice is %d KiB", wait>>10, slice>>10)
	}
}
