package balance

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// messageSize is what a request and its answer have.
const messageSize = 64

// Backends are servers that send one message back, each after its own time, and count who is connected.
type Backends struct {
	all []*backend
	wg  sync.WaitGroup
}

type backend struct {
	listener net.Listener
	delay    time.Duration

	mu   sync.Mutex
	load gauge
}

// Listen opens a backend at each address. Its answers take delays[i] on average, half of it or half as much again at the
// extremes.
func Listen(addresses []netip.AddrPort, delays []time.Duration) (*Backends, error) {
	b := &Backends{}
	for i, address := range addresses {
		listener, err := net.Listen("tcp", address.String())
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("listen as backend %d: %w", i, err)
		}
		one := &backend{listener: listener, delay: delays[i]}
		b.all = append(b.all, one)
		b.wg.Go(func() { one.accept(&b.wg) })
	}
	return b, nil
}

// Close ends them, once their clients have gone.
func (b *Backends) Close() {
	for _, one := range b.all {
		_ = one.listener.Close()
	}
	b.wg.Wait()
}

func (b *backend) accept(wg *sync.WaitGroup) {
	for {
		conn, err := b.listener.Accept()
		if err != nil { // closed, or clients will say
			return
		}
		b.count(1)
		wg.Go(func() {
			defer b.count(-1)
			defer func() { _ = conn.Close() }()
			b.answer(conn)
		})
	}
}

// answer leaves it to the client to end the connection.
func (b *backend) answer(conn net.Conn) {
	var message [messageSize]byte
	if _, err := io.ReadFull(conn, message[:]); err != nil {
		return
	}
	time.Sleep(b.delay/2 + rand.N(b.delay))
	if _, err := conn.Write(message[:]); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

func (b *backend) count(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load.add(n, time.Now())
}

func (b *Backends) reset() {
	for _, one := range b.all {
		one.mu.Lock()
		one.load.reset(time.Now())
		one.mu.Unlock()
	}
}

// means are the backends' average loads since reset.
func (b *Backends) means() []float64 {
	var means []float64
	for _, one := range b.all {
		one.mu.Lock()
		means = append(means, one.load.mean(time.Now()))
		one.mu.Unlock()
	}
	return means
}
