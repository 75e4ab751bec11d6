package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// Sessions are parked whenever they let themselves be, and come back at once, later, or after others: every byte arrives,
// once, in order and before the end, and none passes a parked session.
func TestParkAgainstTraffic(t *testing.T) {
	const sessions = 16
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	loops := tcptest.Loops(t, 2)
	var g errgroup.Group
	var parks [sessions]int
	for i := range sessions {
		c := cycler{loops: loops, random: rand.New(rand.NewPCG(seed, uint64(i)))}
		c.peers, _ = tcptest.Listen(t)
		g.Go(func() (err error) {
			parks[i], err = parkAndTalk(&c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range parks {
		total += n
	}
	if total < 10*sessions {
		t.Errorf("%d sessions were parked %d times: nothing was tried", sessions, total)
	}
	t.Logf("parked %d times", total)
}

func parkAndTalk(c *cycler) (parks int, err error) {
	loop := c.loops.Next()
	front, client, err1 := c.connect(loop)
	back, backend, err2 := c.connect(loop)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	defer client.Close()
	defer backend.Close()
	o := &moody{act: &c.act, random: rand.New(rand.NewPCG(c.random.Uint64(), 0))}
	ended := make(chan Result, 1)
	o.session = Start(front, back, &c.act, func(r Result) { ended <- r })
	over := make(chan struct{})
	var parking sync.WaitGroup
	parking.Go(func() {
		for pauses := o.random.Uint64(); ; pauses++ {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(pauses%7) * 100 * time.Microsecond):
				o.session.Park(time.Now().Add(time.Hour), o)
			}
		}
	})
	var talk errgroup.Group
	for _, way := range [][2]*net.TCPConn{{client, backend}, {backend, client}} {
		seed := c.random.Uint64()
		talk.Go(func() error { return speak(way[0], seed) })
		talk.Go(func() error { return hear(way[1], seed) })
	}
	err = talk.Wait()
	if err != nil {
		o.session.Abort()
	}
	select {
	case r := <-ended:
		err = errors.Join(err, r.Err)
	case <-time.After(tcptest.Patience):
		err = errors.Join(err, errors.New("a session does not end"))
	}
	close(over)
	parking.Wait()
	o.returns.Wait()
	return o.parks, errors.Join(err, o.err)
}

// moody is an Owner that lets go on at once, or a little later.
type moody struct {
	session *Session
	act     *Activity
	random  *rand.Rand // of the session's lock
	returns sync.WaitGroup

	parks int
	moved int64 // when it was parked
	err   error
}

func (o *moody) Park(time.Time) bool {
	o.parks++
	o.moved = o.act.ToBackend() + o.act.ToClient()
	return true
}

func (o *moody) Wake() bool {
	o.check()
	if o.random.IntN(2) == 0 {
		return true
	}
	pause := time.Duration(o.random.IntN(2000)) * time.Microsecond
	o.returns.Go(func() {
		time.Sleep(pause)
		o.check()
		o.session.Resume()
	})
	return false
}

// check notes if anything has moved while the session was parked.
func (o *moody) check() {
	if moved := o.act.ToBackend() + o.act.ToClient() - o.moved; moved != 0 {
		o.err = fmt.Errorf("%d bytes passed a parked session", moved)
	}
}

// speak sends what utterances says, each after a pause, and ends.
func speak(c *net.TCPConn, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1))
	for said := range utterances(seed) {
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		if _, err := c.Write(said); err != nil {
			return err
		}
	}
	return c.CloseWrite()
}

// hear fails unless what arrives is what speak sends.
func hear(c *net.TCPConn, seed uint64) error {
	for said := range utterances(seed) {
		heard := make([]byte, len(said))
		if n, err := io.ReadFull(c, heard); err != nil || !bytes.Equal(heard, said) {
			return fmt.Errorf("of %d bytes %d arrived, or other ones: %w", len(said), n, err)
		}
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("%d bytes and %w instead of an end", n, err)
	}
	return nil
}

// utterances are random bytes in pieces, small ones and now and then one that makes for a sustained flow.
func utterances(seed uint64) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		random := rand.New(rand.NewPCG(seed, 2))
		var key [32]byte
		key[0] = byte(seed)
		bytes := rand.NewChaCha8(key)
		for range 300 {
			size := 1 + random.IntN(200)
			if random.IntN(50) == 0 {
				size = 1 + random.IntN(256<<10)
			}
			said := make([]byte, size)
			_, _ = bytes.Read(said)
			if !yield(said) {
				return
			}
		}
	}
}
