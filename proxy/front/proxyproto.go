package front

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"

	"tpa.dev/tpa/proxy/backend"
	"tpa.dev/tpa/proxy/tcp"
)

// ProxyProtocol is a version of the PROXY protocol; 0 is none.
type ProxyProtocol byte

// header returns what tells a backend who the client is. local is the address that the client reached here: the
// proxy's own, as the Service's was translated on the way. A Service has several (cluster IPs, load balancers, node
// ports), and which of them was dialed is known on the node only. Both are of one family, so that there is no need of
// UNKNOWN; and as nothing is connected but for a client, none of LOCAL.
func (v ProxyProtocol) header(client, local netip.AddrPort) ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(byte(v), net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(local))
	b, err := h.Format()
	if err != nil {
		return nil, fmt.Errorf("proxy protocol v%d header: %w", v, err)
	}
	return b, nil
}

// hello returns what sends a backend the PROXY header of this connection; nil if there is to be none. A fresh connection
// takes a header whole.
func (c *conn) hello() backend.Hello {
	v := c.s.settings.Load().ProxyProtocol
	if v == 0 {
		return nil
	}
	return func(b *tcp.Conn) error {
		local, err := c.client.Local()
		if err != nil {
			return err
		}
		header, err := v.header(c.client.Remote(), local)
		if err != nil {
			return err
		}
		n, err := b.Write(header)
		if err == nil && n < len(header) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("proxy header: %w", err)
		}
		return nil
	}
}
