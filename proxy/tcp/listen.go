package tcp

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// ErrNone says that no connection has queued up.
var ErrNone = errors.New("no connection")

// listen opens a port of both IP families, or of IPv4 where there is no other.
func listen(port uint16, control func(network, address string, raw syscall.RawConn) error) (*net.TCPListener, error) {
	// KeepAlive -1 keeps net from setting four options on every accepted socket: they inherit the listener's.
	lc := net.ListenConfig{KeepAlive: -1, Control: control}
	lc.SetMultipathTCP(false) // what is relayed is plain TCP on the other side anyway
	address := ":" + strconv.Itoa(int(port))
	l, err := lc.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) { // no IPv6 here
		l, err = lc.Listen(context.Background(), "tcp4", address)
	}
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}
