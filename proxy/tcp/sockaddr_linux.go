//go:build !portable

package tcp

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

func sockaddr(a netip.AddrPort) (family int, sa unix.Sockaddr) {
	if addr := a.Addr().Unmap(); addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4(), Port: int(a.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
