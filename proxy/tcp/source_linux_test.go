//go:build !portable

package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sourceEnv makes the test binary connect within a network of its own, which the kernel gives few ports.
const sourceEnv = "TCP_TEST_SOURCE"

// A few ports.
const (
	firstFew = 40000
	fewPorts = 16
	lastFew  = firstFew + fewPorts - 1
)

func init() {
	if address := os.Getenv(sourceEnv); address != "" {
		if err := connectAgainAndAgain(address); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// TestSourcePortsAreUsedAgain: connections that this end closed first do not use its ports up, although the kernel would
// not choose these again.
func TestSourcePortsAreUsedAgain(t *testing.T) {
	for _, address := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		t.Run(address, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), sourceEnv+"="+address)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
			if os.Geteuid() != 0 { // root of its own network, nobody else's
				cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// A connection from a port to itself would be one to nobody.
func TestSourceIsNotTheDestination(t *testing.T) {
	two := sourcePorts{40000, 40001}
	for range 100 {
		if port := two.pick(40000); port != 40001 {
			t.Fatalf("port %d", port)
		}
	}
}

// Nobody there is nobody there: the error is that of connecting, and no descriptor is left.
func TestStartConnectFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	fd, err := startConnect(to, sourcePorts{firstSource, lastSource})
	if err == nil { // under way
		defer unix.Close(fd)
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err := unix.Poll(ready, 10_000); err != nil {
			t.Fatal(err)
		}
		failure, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if syscall.Errno(failure) != unix.ECONNREFUSED || err != nil {
			t.Errorf("failure %d, %v; want %v", failure, err, unix.ECONNREFUSED)
		}
		return
	}
	if fd != -1 || !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("descriptor %d, error %v", fd, err)
	}
}

// connectAgainAndAgain runs as a subprocess.
func connectAgainAndAgain(address string) error {
	if err := prepareNetwork(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	connect := func() (int, error) { return startConnect(to, sourcePorts{firstFew, lastFew}) }

	kept, err := open(l, connect)
	if err != nil {
		return err
	}
	const times = 50 * fewPorts
	for i := range times {
		c, err := open(l, connect)
		if err != nil {
			return fmt.Errorf("connection %d from %d ports: %w", i, fewPorts, err)
		}
		if err := c.end(); err != nil {
			return err
		}
	}
	if err := kept.end(); err != nil {
		return fmt.Errorf("a connection beside the others: %w", err)
	}
	return wantExhausted(l, to)
}

// wantExhausted fails unless the kernel's own choice finds no port, without which the test says nothing.
func wantExhausted(l net.Listener, to netip.AddrPort) error {
	family, sa := sockaddr(to)
	for range fewPorts + 1 {
		c, err := open(l, func() (int, error) {
			fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
			if err == nil {
				err = unix.Connect(fd, sa)
			}
			return fd, err
		})
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.end(); err != nil {
			return err
		}
	}
	return fmt.Errorf("the kernel made %d connections from %d ports", fewPorts+1, fewPorts)
}

// pair is both ends of a connection.
type pair struct {
	fd   int
	peer net.Conn
}

func open(l net.Listener, connect func() (int, error)) (pair, error) {
	fd, err := connect()
	if err != nil {
		return pair{}, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return pair{}, os.NewSyscallError("fcntl", err)
	}
	peer, err := l.Accept()
	return pair{fd, peer}, err
}

// end closes the connection from this end, after one byte to show that it works.
func (p pair) end() error {
	defer unix.Close(p.fd)
	defer p.peer.Close()
	_, err := unix.Write(p.fd, []byte("x"))
	_ = unix.Shutdown(p.fd, unix.SHUT_WR)
	if got, readErr := io.ReadAll(p.peer); string(got) != "x" || readErr != nil {
		return fmt.Errorf("the peer read %q: %w", got, errors.Join(err, readErr))
	}
	_ = p.peer.Close()
	var b [1]byte
	if n, err := unix.Read(p.fd, b[:]); n != 0 || err != nil {
		return fmt.Errorf("read %d bytes instead of the end: %w", n, err)
	}
	return nil
}

// prepareNetwork brings loopback up, with few ports, and with TIME_WAIT as between two machines.
func prepareNetwork() error {
	for key, value := range map[string]string{
		"ip_local_port_range": fmt.Sprint(firstFew, lastFew),
		"tcp_tw_reuse":        "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0); err != nil {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, loopback); err != nil {
		return fmt.Errorf("bring loopback up: %w", os.NewSyscallError("ioctl", err))
	}
	return nil
}
