//go:build !portable

package tcp

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// The local ports of connections to backends: those above the ones that Services are given (20000 to 29999).
	firstSource = 30000
	lastSource  = 65535
	// sourceTries is how many of them are tried before the choice is left to the kernel.
	sourceTries = 8
)

// sourcePorts is a range of local ports, both ends included.
type sourcePorts struct{ first, last int }

// startConnect returns a socket that is connecting to an address, or is connected already, from a local port of this
// process's own choice.
//
// Whoever closes first keeps the pair of ports in TIME_WAIT for a minute, and towards backends that is mostly the proxy.
// The kernel's choice passes over such ports, one after the other: once 14,000 connections to one backend, half of the
// default range, have ended within a minute, each connect takes 2 ms of CPU instead of 35 µs, and after 28,000 it fails.
// A port that was asked for may be used again at once, as long as both ends have TCP timestamps, whose clock tells the
// new connection's segments from the old one's (RFC 6191; tcp_twsk_unique in Linux). The sysctl that would allow the
// same to the kernel's choice, tcp_tw_reuse, is not among those that a pod may set. Choosing costs two system calls, 1.5 µs.
func startConnect(to netip.AddrPort, from sourcePorts) (fd int, err error) {
	family, sa := sockaddr(to)
	for try := range sourceTries + 1 {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return -1, os.NewSyscallError("socket", err)
		}
		if err := options(fd); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
		if try < sourceTries {
			bindSource(fd, family, from.pick(to.Port()))
		}
		err = unix.Connect(fd, sa)
		if err == nil || errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR) {
			return fd, nil
		}
		_ = unix.Close(fd)
		if !errors.Is(err, unix.EADDRNOTAVAIL) { // which says that there is a connection between these ports
			break
		}
	}
	return -1, os.NewSyscallError("connect", err)
}

// pick returns a random port, but not the destination's: on the same machine, where nobody listens, a connection from a
// port to itself succeeds.
func (s sourcePorts) pick(destination uint16) int {
	port := s.first + rand.IntN(s.last-s.first+1)
	if port == int(destination) {
		return s.pick(destination)
	}
	return port
}

// bindSource gives a socket a local port. If that fails, for instance because somebody listens there, the socket has
// none, and the kernel chooses when it connects.
func bindSource(fd, family, port int) {
	var local unix.Sockaddr = &unix.SockaddrInet4{Port: port}
	if family == unix.AF_INET6 {
		local = &unix.SockaddrInet6{Port: port}
	}
	// Many connections have the same port, to one backend each.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) == nil {
		_ = unix.Bind(fd, local)
	}
}
