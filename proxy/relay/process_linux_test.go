//go:build !portable

package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

const (
	backendEnv = "RELAY_TEST_BACKEND" // where the relay process dials
	limitEnv   = "RELAY_TEST_NOFILE"  // how many descriptors it may have; empty: as many as this process
)

// relayRole is a process that relays and does nothing else. It tells its port, then the end of each session and each
// failure to accept or to dial, in a line of its own, and repeats what it is told, until its input ends. Then it says how
// many descriptors it has.
func relayRole() error {
	if limit := os.Getenv(limitEnv); limit != "" {
		n, err := strconv.ParseUint(limit, 10, 64)
		if err != nil {
			return err
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit of descriptors: %w", err)
		}
	}
	backend, err := netip.ParseAddrPort(os.Getenv(backendEnv))
	if err != nil {
		return err
	}
	loops, err := tcp.Start(1)
	if err != nil {
		return err
	}
	l, err := tcp.Listen(0, loops)
	if err != nil {
		return err
	}
	fmt.Println("port", l.Port())
	go acceptAndRelay(l, backend)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(in.Text())
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	fmt.Println("descriptors", len(entries)-2*len(tokens))
	return nil
}

func acceptAndRelay(l *tcp.Listener, backend netip.AddrPort) {
	var act Activity
	room := make(chan struct{}, 1) // gets a value when descriptors are given back
	for {
		client, err := l.Accept()
		if err != nil {
			fmt.Println("accept", err)
			<-room
			continue
		}
		conn, err := tcp.Dial(context.Background(), client.Loop(), backend, tcptest.Patience)
		if err != nil {
			client.Abort()
			fmt.Println("dial", err)
			continue
		}
		Start(client, conn, &act, func(r Result) {
			select {
			case room <- struct{}{}:
			default:
			}
			fmt.Println("ended", r.Err)
		})
	}
}

// process is a relayRole, seen from its parent.
type process struct {
	addr netip.AddrPort
	in   io.WriteCloser
	wait func() error // until it has ended

	mu   sync.Mutex
	said map[string]int // how many lines began with that word
	last string
}

// startProcess starts a relayRole, by a command that runs it if there is one.
func startProcess(t *testing.T, backend netip.AddrPort, limit string, command ...string) *process {
	t.Helper()
	command = append(command, os.Args[0])
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"=relay", backendEnv+"="+backend.String(), limitEnv+"="+limit)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p := &process{in: in, said: map[string]int{}}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.hear(lines.Text())
		}
	}()
	p.wait = sync.OnceValue(func() error {
		<-heard
		return cmd.Wait()
	})
	t.Cleanup(func() { p.end(t) })
	p.await(t, "port", 1)
	var port uint16
	if _, err := fmt.Sscanf(p.last, "port %d", &port); err != nil {
		t.Fatal(err)
	}
	p.addr = tcptest.Loopback(port)
	return p
}

func (p *process) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, _, _ := strings.Cut(line, " ")
	p.said[word]++
	p.last = line
}

// count returns how often the process has said word.
func (p *process) count(word string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said[word]
}

// await waits until the process has said word n times.
func (p *process) await(t *testing.T, word string, n int) {
	t.Helper()
	tcptest.Eventually(t, fmt.Sprintf("%d times %q", n, word), func() bool { return p.count(word) >= n })
}

// mark has the process say word, once it has dealt with all that came before.
func (p *process) mark(t *testing.T, word string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, word); err != nil {
		t.Fatal(err)
	}
	p.await(t, word, 1)
}

// end ends the process, and returns the last line that it said.
func (p *process) end(t *testing.T) (last string) {
	t.Helper()
	_ = p.in.Close()
	if err := p.wait(); err != nil {
		t.Errorf("relay process: %v", err)
	}
	return p.last
}
