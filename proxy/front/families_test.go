package front

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// TestFamilies: clients and pods of either IP family meet, awake or held.
func TestFamilies(t *testing.T) {
	for _, pod := range []string{"127.0.0.1", "::1"} {
		for _, client := range []string{"127.0.0.1", "::1"} {
			t.Run(client+" to "+pod, func(t *testing.T) {
				w := newWorld(t, false, Settings{Affinity: true}, nil)
				backend, err := net.Listen("tcp", net.JoinHostPort(pod, "0"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = backend.Close() })
				w.backend = backend.(*net.TCPListener)
				w.SetBackends(w.port, []netip.AddrPort{w.backend.Addr().(*net.TCPAddr).AddrPort()})
				w.echo()
				dial := func() *net.TCPConn {
					c, err := net.Dial("tcp", net.JoinHostPort(client, strconv.Itoa(int(w.port))))
					if err != nil {
						t.Fatal(err)
					}
					return tcptest.Own(t, c.(*net.TCPConn))
				}
				held := dial()
				w.wantWaiting(1)
				w.target.wake()
				wantEcho(t, held)
				wantEcho(t, dial())
			})
		}
	}
}
