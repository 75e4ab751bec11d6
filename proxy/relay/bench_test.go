package relay

import (
	"io"
	"testing"
	"time"
)

func BenchmarkRoundTrip64(b *testing.B) {
	p := start(b)
	p.noDeadlines()
	message := p.echo(b, 64)
	b.ReportAllocs()
	for b.Loop() {
		p.roundTrip(b, message)
	}
}

func BenchmarkBulk(b *testing.B) {
	p := start(b)
	p.noDeadlines()
	chunk := make([]byte, 1<<20)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	go p.discard()
	for b.Loop() {
		if _, err := p.client.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	_ = p.client.Close()
	p.wait(b)
}

// Neither a message nor a mebibyte of a sustained flow costs an allocation.
func TestAllocations(t *testing.T) {
	t.Run("round trip", func(t *testing.T) {
		p := start(t)
		message := p.echo(t, 64)
		if n := testing.AllocsPerRun(1000, func() { p.roundTrip(t, message) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("bulk", func(t *testing.T) {
		p := start(t)
		go p.discard()
		chunk := make([]byte, 1<<20)
		n := testing.AllocsPerRun(500, func() {
			if _, err := p.client.Write(chunk); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations a MiB", n)
		}
		_ = p.client.Close()
		p.wait(t)
	})
}

func (p *pair) noDeadlines() {
	_ = p.client.SetDeadline(time.Time{})
	_ = p.backend.SetDeadline(time.Time{})
}

// echo has the backend send everything back, and returns a message of size.
func (p *pair) echo(tb testing.TB, size int) []byte {
	tb.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(p.backend, onlyReader{p.backend})
		_ = p.backend.Close()
	}()
	tb.Cleanup(func() {
		_ = p.client.Close()
		<-ended
		p.wait(tb)
	})
	return make([]byte, size)
}

func (p *pair) roundTrip(tb testing.TB, message []byte) {
	if _, err := p.client.Write(message); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(p.client, message); err != nil {
		tb.Fatal(err)
	}
}

// discard has the backend read to the end.
func (p *pair) discard() {
	_, _ = io.Copy(struct{ io.Writer }{io.Discard}, onlyReader{p.backend})
	_ = p.backend.Close()
}

// onlyReader hides what a connection can do besides reading.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }
