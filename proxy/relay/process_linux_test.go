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
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/listen"
	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

const (
	backendEnv = "RELAY_TEST_BACKEND" // where the relay process dials
	limitEnv   = "RELAY_TEST_NOFILE"  // how many descriptors it may have; empty: as many as this process
)

// relayRole is a process that relays and does nothing else. It tells its port and what it holds, then the end of each
// session and each failure to accept or to dial, in a line of its own, and repeats what it is told, until its input ends.
// Then it tells again what it holds.
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
	l, err := acceptAndRelay(loops, backend)
	if err != nil {
		return err
	}
	before := holds() // nobody knows the port yet
	fmt.Println("port", l.Port())
	fmt.Println(before)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(in.Text())
	}
	fmt.Println(holds())
	return nil
}

// holds says how many descriptors, but for the pipes', and goroutines this process has.
func holds() string {
	entries, err := os.ReadDir("/proc/self/fd")
	return fmt.Sprintf("holds %d descriptors, %d goroutines, %v", len(entries)-2*len(tokens), runtime.NumGoroutine(), err)
}

// acceptAndRelay does what package front does for an awake target.
func acceptAndRelay(loops *tcp.Loops, backend netip.AddrPort) (*listen.Listener, error) {
	var act Activity
	serve := func(client *tcp.Conn) {
		tcp.Connect(context.Background(), client.Loop(), backend, tcptest.Patience, func(conn *tcp.Conn, err error) {
			if err != nil {
				client.Abort()
				fmt.Println("dial", err)
				return
			}
			Start(client, conn, &act, func(r Result) { fmt.Println("ended", r.Err) })
		})
	}
	return listen.Open(0, loops, serve, func(err error) { fmt.Println("accept", err) })
}

// process is a relayRole, seen from its parent.
type process struct {
	addr netip.AddrPort
	in   io.WriteCloser
	wait func() error // until it has ended

	mu   sync.Mutex
	said map[string][]string // what followed each word that a line began with
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
	p := &process{in: in, said: map[string][]string{}}
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
	port, err := strconv.ParseUint(p.rest("port", 0), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = tcptest.Loopback(uint16(port))
	return p
}

func (p *process) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	p.said[word] = append(p.said[word], rest)
}

// count returns how often the process has said word.
func (p *process) count(word string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.said[word])
}

// rest returns what followed word when the process said it for the i-th time.
func (p *process) rest(word string, i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said[word][i]
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

// end ends the process.
func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.in.Close()
	if err := p.wait(); err != nil {
		t.Errorf("relay process: %v", err)
	}
}
