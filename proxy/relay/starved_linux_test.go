//go:build !portable

package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// Too many connections for the descriptors there are: some wait in the listen queue, some are reset as the backend cannot
// be dialed, and those that are relayed go on. Once there is room everybody is served, and then nothing is left.
func TestOutOfDescriptors(t *testing.T) {
	const clients = 150
	failures := map[string]int{}
	// Descriptors run out in Accept or in Dial, depending on how many are taken before.
	for _, limit := range []int{64, 65} {
		p := startProcess(t, echo(t), strconv.Itoa(limit))
		release := make(chan struct{})
		var g errgroup.Group
		for range clients {
			g.Go(func() error { return untilServed(p.addr, release) })
		}
		failed := func() int { return p.count("accept") + p.count("dial") }
		tcptest.Eventually(t, "descriptors run out", func() bool { return failed() > 0 })
		close(release)
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		before := failed()
		for range 10 {
			if err := serve(p.addr, release); err != nil {
				t.Errorf("after the load: %v", err)
			}
		}
		if now := failed(); now > before {
			t.Errorf("%d accepts and dials failed after the load", now-before)
		}
		p.await(t, "ended", clients+10)
		p.end(t)
		if before, after := p.rest("holds", 0), p.rest("holds", 1); before != after {
			t.Errorf("the process held %s before and %s after", before, after)
		}
		for _, what := range []string{"accept", "dial"} {
			for i := range p.count(what) {
				failures[what]++
				if why := p.rest(what, i); !strings.HasSuffix(why, unix.EMFILE.Error()) {
					t.Errorf("%s: %s", what, why)
				}
			}
		}
	}
	t.Logf("failures: %v", failures)
	if failures["accept"] == 0 || failures["dial"] == 0 {
		t.Errorf("failures %v: want some of both kinds", failures)
	}
}

// untilServed has itself served. A client that is turned away tries again after release, so that it leaves those alone who
// have a place until then.
func untilServed(addr netip.AddrPort, release <-chan struct{}) error {
	for end := time.Now().Add(tcptest.Patience); ; time.Sleep(time.Millisecond) {
		err := serve(addr, release)
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || time.Now().After(end) {
			return err
		}
		<-release
	}
}

// serve sends enough for a sustained flow, wants it back, and keeps the connection until release.
func serve(addr netip.AddrPort, release <-chan struct{}) error {
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tcptest.Patience))
	message := bytes.Repeat([]byte("message."), 32<<10)
	var g errgroup.Group
	g.Go(func() error {
		_, err := conn.Write(message)
		return err
	})
	got := make([]byte, len(message))
	_, err = io.ReadFull(conn, got)
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return errors.New("what came back is not what was sent")
	}
	<-release
	return nil
}

// echo returns the address of a backend that sends everything back.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	l, addr := tcptest.Listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, onlyReader{conn})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return addr
}
