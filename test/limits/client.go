package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// visitors are the connections of one client process, a goroutine for each.
type visitors struct {
	mu      sync.Mutex
	changed *sync.Cond
	n       uint64 // connections so far
	open    map[*asker]bool
	tally   tally
}

// asker is one connection.
type asker struct {
	conn    net.Conn
	began   time.Time
	message []byte
	waiting bool // guarded by visitors.mu
	left    bool // closed by this end; guarded by visitors.mu
}

func newVisitors() *visitors {
	c := &visitors{open: map[*asker]bool{}}
	c.changed = sync.NewCond(&c.mu)
	return c
}

func (c *visitors) do(j job) tally {
	switch j.Op {
	case "open":
		c.openAll(j)
	case "await":
		c.await(j.Within)
	case "tally":
	case "close":
		c.close(j.Count)
	case "probe":
		return probe(j)
	default:
		return tally{Error: fmt.Sprintf("unknown job %q", j.Op)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally
	t.Open = len(c.open)
	return t
}

func (c *visitors) openAll(j job) {
	atOnce := make(chan struct{}, j.AtOnce)
	var dials sync.WaitGroup
	for i := range j.Conns {
		atOnce <- struct{}{}
		dials.Go(func() {
			defer func() { <-atOnce }()
			c.dial(j.Addresses[i%len(j.Addresses)], j.Way)
		})
	}
	dials.Wait()
}

func (c *visitors) dial(address, way string) {
	c.mu.Lock()
	c.n++
	a := &asker{began: time.Now(), message: message(c.n), waiting: way == ask}
	c.mu.Unlock()
	conn, err := net.DialTimeout("tcp4", address, time.Minute)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.ended(a, err)
		return
	}
	a.conn = conn
	c.open[a] = true
	if a.waiting {
		c.tally.Waiting++
	}
	switch way {
	case ask:
		go c.ask(a)
	case trickle:
		go c.trickle(a)
	}
}

// message is one that no other connection of this machine sends.
func message(n uint64) []byte {
	m := bytes.Repeat([]byte{0xa5}, messageSize)
	binary.LittleEndian.PutUint64(m, n)
	binary.LittleEndian.PutUint64(m[8:], uint64(os.Getpid()))
	return m
}

func (c *visitors) ask(a *asker) {
	got := make([]byte, messageSize)
	_, err := a.conn.Write(a.message)
	if err == nil {
		_, err = io.ReadFull(a.conn, got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.Waiting--
	a.waiting = false
	c.changed.Broadcast()
	switch {
	case err != nil:
		delete(c.open, a)
		_ = a.conn.Close()
		c.ended(a, err)
	case !bytes.Equal(got, a.message):
		c.tally.Wrong++
	default:
		c.tally.Answered++
	}
}

// ended counts one that got no answer; mu is held.
func (c *visitors) ended(a *asker, err error) {
	switch {
	case a.left:
		c.tally.Left++
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNREFUSED):
		c.tally.Refused++
		c.tally.RefusedAfter = append(c.tally.RefusedAfter, time.Since(a.began))
	default:
		c.tally.Failed++
		c.tally.Why = err.Error()
	}
}

func (c *visitors) trickle(a *asker) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for range every.C {
		if _, err := a.conn.Write([]byte{0}); err != nil {
			return // it is closed, by whichever end
		}
	}
}

func (c *visitors) await(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := false
	timer := time.AfterFunc(within, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	for c.tally.Waiting > 0 && !over {
		c.changed.Wait()
	}
}

func (c *visitors) close(count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if count == 0 {
		count = len(c.open)
	}
	for _, waiting := range []bool{true, false} {
		for a := range c.open {
			if count == 0 || a.waiting != waiting {
				continue
			}
			count--
			a.left = true
			delete(c.open, a)
			// A reset. Who only closes after a request may still wait for the answer, as far as anybody can tell.
			_ = a.conn.(*net.TCPConn).SetLinger(0)
			_ = a.conn.Close()
		}
	}
}

// probe measures connections at fixed times, however long each takes.
func probe(j job) tally {
	var (
		mu    sync.Mutex
		t     = tally{Took: make([][]time.Duration, len(j.Addresses))}
		conns sync.WaitGroup
		every = time.NewTicker(j.Every)
	)
	defer every.Stop()
	for i, began := 0, time.Now(); time.Since(began) < j.For; i++ {
		for at, address := range j.Addresses {
			conns.Go(func() {
				start := time.Now()
				err := exchange(address, message(uint64(i)))
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Failed++
					t.Why = err.Error()
					return
				}
				t.Answered++
				t.Took[at] = append(t.Took[at], took)
			})
		}
		<-every.C
	}
	conns.Wait()
	return t
}

// exchange connects, sends a message and waits until it has come back.
func exchange(address string, message []byte) error {
	conn, err := net.DialTimeout("tcp4", address, time.Minute)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(message); err != nil {
		return err
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return errors.New("another message came back than was sent")
	}
	return nil
}
