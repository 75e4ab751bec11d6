//go:build !portable

package listen

import (
	"testing"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestOptionsAreInherited(t *testing.T) {
	l, conns := open1(t)
	tcptest.Dial(t, tcptest.Loopback(l.Port()))
	c := <-conns
	defer c.Close()
	for _, option := range []struct{ level, name, want int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if got, err := unix.GetsockoptInt(c.FD(), option.level, option.name); got != option.want || err != nil {
			t.Errorf("option %d/%d is %d, %v; want %d", option.level, option.name, got, err, option.want)
		}
	}
}
