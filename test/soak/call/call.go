// Package call holds a conversation over one connection, in any of several protocols, and checks every byte of what
// comes back. Nothing is tried again.
//
//	who, err := call.Redis(ctx, conn, call.Script{Within: time.Minute, Nonces: []string{"a", "b"}, Pauses: []time.Duration{time.Second}})
//	call.KindOf(err) // ok
//
// Each request carries a nonce that no other one carries, so that the answer to another request, on whichever connection,
// is known for a wrong one.
package call

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"tpa.dev/tpa/test/kit"
)

// Script is what is said over a connection.
type Script struct {
	// Within is how long each answer may take, the connect not included.
	Within time.Duration
	// Nonces are those of the requests, of letters and digits. There has to be one.
	Nonces []string
	// Pauses are the silences between the requests, one less than there are Nonces.
	Pauses []time.Duration
	// First, if set, is called when the first answer is there.
	First func()
}

// Who is who answered, as far as the protocol tells.
type Who struct {
	Pod    string // name of the pod, or ""
	Server string // its address, or ""
	Peer   string // the address that it was called from, or "": the proxy's, if one is in between
}

// Protocol is one way to talk. The caller closes the connection.
type Protocol func(context.Context, net.Conn, Script) (Who, error)

// End is how a connection ended that was closed in order before the answer.
const End kit.Kind = "end"

// KindOf tells how a connection ended from its error.
func KindOf(err error) kit.Kind {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return End
	}
	return kit.KindOf(err)
}

// each asks once for each nonce. ask has until the connection's deadline.
func (s Script) each(ctx context.Context, conn net.Conn, ask func(nonce string) (Who, error)) (Who, error) {
	var first Who
	for i, nonce := range s.Nonces {
		if i > 0 {
			select {
			case <-time.After(s.Pauses[i-1]):
			case <-ctx.Done():
				return first, nil // what was asked was answered
			}
		}
		if err := conn.SetDeadline(time.Now().Add(s.Within)); err != nil {
			return first, err
		}
		who, err := ask(nonce)
		if err != nil {
			return first, err
		}
		if i == 0 {
			first = who
			if s.First != nil {
				s.First()
			}
		}
		if who != first {
			return first, kit.Wrongf("%+v answered, then %+v, over one connection", first, who)
		}
	}
	return first, nil
}

// host is the address without its port.
func host(address string) string {
	h, _, _ := net.SplitHostPort(address)
	return h
}
