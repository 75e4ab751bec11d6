package front_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// proxied is a Service that sends backends a PROXY header.
type proxied struct {
	*front.Service
	port uint16
}

func newProxied(t *testing.T, version front.ProxyProtocol) proxied {
	t.Helper()
	p := proxied{port: tcptest.FreePort(t)}
	p.Service = front.New(front.Config{Name: "shop/web", Target: front.Open{}, Loops: tcptest.Loops(t, 1)})
	t.Cleanup(p.Close)
	p.SetSettings(front.Settings{ProxyProtocol: version})
	if err := p.SetPorts([]front.Port{{Listen: p.port}}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p proxied) dial(t *testing.T, host string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(p.port))))
	if err != nil {
		t.Fatal(err)
	}
	return tcptest.Own(t, c.(*net.TCPConn))
}

func (p proxied) setBackend(l *net.TCPListener) { p.SetBackends(p.port, []netip.AddrPort{address(l)}) }

func address(l *net.TCPListener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// forEach runs a test with each receiver, for each version of the protocol and a client of each IP family.
func forEach(t *testing.T, test func(t *testing.T, r receiver, version front.ProxyProtocol, client string)) {
	for _, r := range receivers {
		for _, version := range []front.ProxyProtocol{1, 2} {
			for _, client := range []string{"127.0.0.1", "::1"} {
				t.Run(fmt.Sprintf("%s/v%d/%s", r.name, version, client), func(t *testing.T) { test(t, r, version, client) })
			}
		}
	}
}

// Each request of a connection is answered with the addresses in the header: who the client is, and as the destination
// where it reached the proxy.
func TestReceiversKnowTheClient(t *testing.T) {
	forEach(t, func(t *testing.T, r receiver, version front.ProxyProtocol, client string) {
		p, server, behind := newProxied(t, version), listen(t), listen(t)
		r.start(t, server, listen(t), address(behind))
		p.setBackend(server)
		c := p.dial(t, client)
		local, remote := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
		want := fmt.Sprintf("%s %d %s %d", local.IP, local.Port, remote.IP, remote.Port)
		in := bufio.NewReader(c)
		for range 2 {
			tcptest.Write(t, c, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if string(body) != want || response.StatusCode != http.StatusOK || err != nil {
				t.Fatalf("%s %q, %v; want %q", response.Status, body, err, want)
			}
		}
	})
}

// What the client has sent before there was a backend follows the header, and does not keep a server from speaking first.
func TestReceiversServerFirst(t *testing.T) {
	forEach(t, func(t *testing.T, r receiver, version front.ProxyProtocol, client string) {
		p, server, behind := newProxied(t, version), listen(t), listen(t)
		r.start(t, listen(t), server, address(behind))
		c := p.dial(t, client)
		tcptest.Write(t, c, "sent early")
		tcptest.Eventually(t, "the connection is held", func() bool { return p.Stats().Held() == 1 })
		p.setBackend(server)

		s := tcptest.Accept(t, behind)
		tcptest.Write(t, s, "220 welcome")
		tcptest.WantRead(t, c, "220 welcome")
		tcptest.Write(t, c, ", sent late")
		_ = c.CloseWrite()
		if got, err := io.ReadAll(s); string(got) != "sent early, sent late" || err != nil {
			t.Errorf("the server got %q, %v", got, err)
		}
		tcptest.Write(t, s, "221 bye")
		_ = s.Close()
		tcptest.WantRead(t, c, "221 bye")
		tcptest.WantEOF(t, c)
	})
}

// A backend that takes connections and hangs up before it has read the header ends its clients' connections, too, and
// leaves none behind.
func TestBackendGoneDuringHeader(t *testing.T) {
	for name, hangUp := range map[string]func(*net.TCPConn){
		"close": func(c *net.TCPConn) { _ = c.Close() },
		"reset": tcptest.Reset,
	} {
		t.Run(name, func(t *testing.T) {
			p, server := newProxied(t, 2), listen(t)
			p.setBackend(server)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for c, err := server.AcceptTCP(); err == nil; c, err = server.AcceptTCP() {
					hangUp(c)
				}
			}()
			defer func() { _ = server.Close(); <-done }()
			const clients = 100
			for range clients {
				// A backend's close is an end in good order, and a reset once the header has met it. Connecting says EPIPE
				// when both have come by then.
				got, err := readAll(tcptest.Loopback(p.port))
				if len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
					t.Fatalf("read %q, %v", got, err)
				}
			}
			tcptest.Eventually(t, "all have ended", func() bool {
				return p.Stats().Ended(front.Relayed)+p.Stats().Ended(front.DialError) == clients
			})
			t.Logf("%d ended in the relay, %d at the header", p.Stats().Ended(front.Relayed), p.Stats().Ended(front.DialError))
		})
	}
}

// readAll connects and reads until the end.
func readAll(from netip.AddrPort) ([]byte, error) {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(from))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(tcptest.Patience))
	return io.ReadAll(c)
}

// The receivers insist: a connection without a header is not served, so that these tests can fail.
func TestReceiversRefuseWithoutHeader(t *testing.T) {
	for _, r := range receivers {
		t.Run(r.name, func(t *testing.T) {
			p, server, behind := newProxied(t, 0), listen(t), listen(t)
			r.start(t, server, listen(t), address(behind))
			p.setBackend(server)
			c := p.dial(t, "127.0.0.1")
			tcptest.Write(t, c, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
			got, err := io.ReadAll(c)
			if strings.Contains(string(got), "200 OK") || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}
