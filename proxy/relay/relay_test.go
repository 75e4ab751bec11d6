package relay

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestHalfClose(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		before := p.act.ToBackend() + p.act.ToClient()
		tcptest.Write(t, a, "question")
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		tcptest.WantRead(t, b, "question")
		tcptest.WantEOF(t, b)
		tcptest.Write(t, b, "answer")
		tcptest.WantRead(t, a, "answer")
		tcptest.Write(t, b, "more")
		_ = b.Close()
		tcptest.WantRead(t, a, "more")
		tcptest.WantEOF(t, a)
		if r := p.wait(t); r.Err != nil || r.ToBackend+r.ToClient-before != int64(len("question"+"answer"+"more")) {
			t.Errorf("result %+v", r)
		}
	})
}

func TestServerSpeaksFirst(t *testing.T) {
	p := start(t)
	tcptest.Write(t, p.backend, "220 ready\r\n")
	tcptest.WantRead(t, p.client, "220 ready\r\n")
	tcptest.Write(t, p.client, "QUIT\r\n")
	tcptest.WantRead(t, p.backend, "QUIT\r\n")
	_ = p.backend.Close()
	tcptest.WantEOF(t, p.client)
	_ = p.client.Close()
	p.wait(t)
}

func TestResetIsPassedOn(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
		tcptest.Write(t, a, "x")
		tcptest.WantRead(t, b, "x")
		tcptest.Reset(a)
		tcptest.WantReset(t, b)
		if r := p.wait(t); !errors.Is(r.Err, errA) || !errors.Is(r.Err, syscall.ECONNRESET) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
	})
}

// What was sent before a reset arrives before it.
func TestBytesBeforeAReset(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
		tcptest.Write(t, a, "all there is")
		tcptest.Reset(a)
		tcptest.WantRead(t, b, "all there is")
		tcptest.WantReset(t, b)
		if r := p.wait(t); !errors.Is(r.Err, errA) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
	})
}

// A reset is reported once, to the reader or to the writer, whoever comes first. Neither order may turn it into an end
// in good order.
func TestResetWhileWriting(t *testing.T) {
	for i := range 50 {
		size := 4 << 10
		if i%2 == 1 {
			size = 256 << 10 // a sustained flow
		}
		both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
			wrote := make(chan error)
			go func() {
				chunk := make([]byte, size)
				for {
					if _, err := b.Write(chunk); err != nil {
						wrote <- err
						return
					}
				}
			}()
			_, _ = io.ReadFull(a, make([]byte, 64<<10))
			tcptest.Reset(a)
			_, err := io.Copy(io.Discard, b)
			if werr := <-wrote; !seesReset(err, werr) {
				t.Fatalf("b ended with %v when reading and %v when writing, want a reset", err, werr)
			}
			if r := p.wait(t); !errors.Is(r.Err, errA) {
				t.Fatalf("error %v, want %v", r.Err, errA)
			}
			_ = b.Close()
		})
		if t.Failed() {
			return
		}
	}
}

// A server that turns an upload down answers, closes and then resets what keeps coming. The answer must get through.
func TestAnswerBeforeHangUp(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		tcptest.Write(t, a, "no")
		_ = a.CloseWrite()
		tcptest.WantRead(t, b, "no")
		_ = a.Close()
		for { // until the hang-up is passed on
			if _, err := b.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		p.wait(t)
	})
}

func TestOneByteWrites(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		const n = 2000
		go func() {
			for i := range n {
				_, _ = a.Write([]byte{byte(i)})
			}
			_ = a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		if err != nil || len(got) != n {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		for i := range got {
			if got[i] != byte(i) {
				t.Fatalf("byte %d is %d", i, got[i])
			}
		}
		_ = b.Close()
		p.wait(t)
	})
}

// A peer that never reads holds up what is sent to it and nothing else.
func TestPeerThatNeverReads(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		full := make(chan struct{})
		go func() { // fills every buffer on the way from a to b
			defer close(full)
			chunk := make([]byte, 64<<10)
			for {
				_ = a.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				if _, err := a.Write(chunk); err != nil {
					return
				}
			}
		}()
		for range 100 {
			tcptest.Write(t, b, "ping")
			tcptest.WantRead(t, a, "ping")
		}
		<-full
		tcptest.Write(t, b, "still here")
		tcptest.WantRead(t, a, "still here")
		p.session.Abort()
		if r := p.wait(t); !errors.Is(r.Err, ErrAborted) {
			t.Errorf("error %v, want %v", r.Err, ErrAborted)
		}
	})
}

func TestAbort(t *testing.T) {
	p := start(t)
	p.session.Abort()
	tcptest.WantReset(t, p.client)
	tcptest.WantReset(t, p.backend)
	if r := p.wait(t); !errors.Is(r.Err, ErrAborted) {
		t.Errorf("error %v, want %v", r.Err, ErrAborted)
	}
	p.session.Abort()
}

func TestActivityIsLive(t *testing.T) {
	p := start(t)
	if !p.act.Last().IsZero() {
		t.Error("activity before the first byte")
	}
	before := time.Now()
	tcptest.Write(t, p.client, "12345")
	tcptest.WantRead(t, p.backend, "12345")
	tcptest.Write(t, p.backend, "123")
	tcptest.WantRead(t, p.client, "123")
	tcptest.Eventually(t, "both directions counted", func() bool { return p.act.ToBackend() == 5 && p.act.ToClient() == 3 })
	if last := p.act.Last(); last.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("last activity %v, before %v", last, before)
	}
	p.session.Abort()
	p.wait(t)
}

func TestErrorsNameTheSide(t *testing.T) {
	p := start(t)
	tcptest.Reset(p.backend)
	r := p.wait(t)
	if r.Err == nil || !strings.HasPrefix(r.Err.Error(), "backend connection failed: read") || !errors.Is(r.Err, syscall.ECONNRESET) {
		t.Errorf("error %v", r.Err)
	}
}
