package load

import (
	"io"
	"net"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// TestAnswers: those that are answered and those that are dropped are told apart, after all of them were open at once.
func TestAnswers(t *testing.T) {
	const conns, dropped = 300, 3
	listener, address := tcptest.Listen(t)
	served := make(chan error, 1)
	go func() { served <- answerAll(listener, conns, dropped) }()
	result, err := do(Job{Kind: Answers, Address: address.String(), Conns: conns, AtOnce: 8})
	if err != nil {
		t.Fatal(err)
	}
	if result.Units != conns-dropped || result.Lost != dropped || result.Ended.IsZero() {
		t.Errorf("%v answered and %v lost, want %d and %d; the last at %v", result.Units, result.Lost, conns-dropped, dropped, result.Ended)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// answerAll reads a message from each connection before it answers the first, half a message at a time, and drops the
// last ones instead.
func answerAll(listener net.Listener, conns, dropped int) error {
	type received struct {
		net.Conn
		message [MessageSize]byte
	}
	all := make([]received, conns)
	for i := range all {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		defer conn.Close()
		all[i].Conn = conn
		if _, err := io.ReadFull(conn, all[i].message[:]); err != nil {
			return err
		}
	}
	for i := range all {
		c := &all[i]
		if i >= conns-dropped {
			c.Close()
			continue
		}
		for _, half := range [][]byte{c.message[:MessageSize/2], c.message[MessageSize/2:]} {
			if _, err := c.Write(half); err != nil {
				return err
			}
		}
	}
	return nil
}
