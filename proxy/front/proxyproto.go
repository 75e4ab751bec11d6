package front

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// ProxyProtocol is a version of the PROXY protocol; 0 is none.
type ProxyProtocol byte

// header returns what tells a backend who the client is. local is the address that the client reached here: the
// proxy's own, as the Service's was translated on the way.
func (v ProxyProtocol) header(client, local netip.AddrPort) ([]byte, error) {
	h := proxyproto.HeaderProxyFromAddrs(byte(v), net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(local))
	b, err := h.Format()
	if err != nil {
		return nil, fmt.Errorf("proxy protocol v%d header: %w", v, err)
	}
	return b, nil
}
