package main

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// stampedListener notes of each connection when its first byte was read: net/http tells only when a whole header was.
type stampedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l stampedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stampedConn{Conn: conn}, nil
}

// stampedConn is a connection whose first byte is timed.
type stampedConn struct {
	net.Conn
	first atomic.Pointer[time.Time]
}

// Read implements net.Conn.
func (c *stampedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.first.Load() == nil {
		now := time.Now()
		c.first.CompareAndSwap(nil, &now)
	}
	return n, err
}

// began is when the first byte was read; the zero time if none was.
func (c *stampedConn) began() time.Time {
	if first := c.first.Load(); first != nil {
		return *first
	}
	return time.Time{}
}

// connKey is where a request's context has its connection.
type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}
