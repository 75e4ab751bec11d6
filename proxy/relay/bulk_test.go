package relay

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// 64 MiB each way at once, compared by checksum.
func TestBulkBothWays(t *testing.T) {
	const size = 64 << 20
	p := start(t)
	var wg sync.WaitGroup
	sums := make([][sha256.Size]byte, 4)
	send := func(i int, c *net.TCPConn) {
		defer wg.Done()
		h := sha256.New()
		src := io.LimitReader(rand.NewChaCha8([32]byte{byte(i)}), size)
		if n, err := io.Copy(io.MultiWriter(c, h), src); n != size || err != nil {
			t.Errorf("sent %d, %v", n, err)
		}
		_ = c.CloseWrite()
		h.Sum(sums[i][:0])
	}
	receive := func(i int, c *net.TCPConn) {
		defer wg.Done()
		h := sha256.New()
		if n, err := io.Copy(h, c); n != size || err != nil {
			t.Errorf("received %d, %v", n, err)
		}
		h.Sum(sums[i][:0])
	}
	wg.Add(4)
	go send(0, p.client)
	go receive(1, p.backend)
	go send(2, p.backend)
	go receive(3, p.client)
	wg.Wait()
	if sums[0] != sums[1] || sums[2] != sums[3] {
		t.Error("what arrived is not what was sent")
	}
	if r := p.wait(t); r.ToBackend != size || r.ToClient != size || r.Err != nil {
		t.Errorf("result %+v", r)
	}
}

func TestManyConnectionsLeaveNothing(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	once := func(i int) {
		p := startOn(t, loops)
		tcptest.Write(t, p.client, "x")
		tcptest.WantRead(t, p.backend, "x")
		if i%2 == 0 {
			tcptest.Reset(p.client)
		} else {
			_ = p.client.Close()
		}
		_ = p.backend.Close()
		p.wait(t)
	}
	once(0)
	fds, goroutines := tcptest.Descriptors(t), runtime.NumGoroutine()
	for i := range 2000 {
		once(i)
	}
	if now := tcptest.Descriptors(t); now > fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
	tcptest.Eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func BenchmarkRoundTrip64(b *testing.B) {
	p := start(b)
	_ = p.client.SetDeadline(time.Time{})
	_ = p.backend.SetDeadline(time.Time{})
	go func() {
		_, _ = io.Copy(p.backend, onlyReader{p.backend})
		_ = p.backend.Close()
	}()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.client.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p.client, buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = p.client.Close()
	p.wait(b)
}

func BenchmarkBulk(b *testing.B) {
	p := start(b)
	_ = p.client.SetDeadline(time.Time{})
	_ = p.backend.SetDeadline(time.Time{})
	chunk := make([]byte, 1<<20)
	b.SetBytes(int64(len(chunk)))
	go func() {
		_, _ = io.Copy(struct{ io.Writer }{io.Discard}, onlyReader{p.backend})
		_ = p.backend.Close()
	}()
	for b.Loop() {
		if _, err := p.client.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	_ = p.client.Close()
	p.wait(b)
}

// onlyReader hides what a connection can do besides reading.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }
