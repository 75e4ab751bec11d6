package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

const starveEnv = "LISTEN_TEST_STARVE"

func TestMain(m *testing.M) {
	if os.Getenv(starveEnv) != "" {
		if err := starve(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// open1 listens on a free port and passes what it accepts on.
func open1(tb testing.TB) (*Listener, chan *tcp.Conn) {
	tb.Helper()
	conns := make(chan *tcp.Conn, 4096)
	l, err := Open(0, tcptest.Loops(tb, 1), func(c *tcp.Conn) { conns <- c }, func(err error) { tb.Error(err) })
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return l, conns
}

func TestBothFamilies(t *testing.T) {
	l, conns := open1(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(l.Port()))))
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Logf("no %s here", host)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted := <-conns
		if got, want := accepted.Remote().String(), c.LocalAddr().String(); got != want {
			t.Errorf("client %s, want %s", got, want)
		}
		if got, err := accepted.Local(); got.String() != c.RemoteAddr().String() || err != nil {
			t.Errorf("accepted at %s, %v; want %s", got, err, c.RemoteAddr())
		}
		_, _ = accepted.Write([]byte("hello"))
		tcptest.WantRead(t, c.(*net.TCPConn), "hello")
		_ = c.Close()
		accepted.Close()
	}
}

func TestPortTaken(t *testing.T) {
	l, _ := open1(t)
	_, err := Open(l.Port(), tcptest.Loops(t, 1), nil, nil)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), strconv.Itoa(int(l.Port()))) {
		t.Errorf("error %v", err)
	}
}

func TestCloseAndReopen(t *testing.T) {
	l, conns := open1(t)
	port := l.Port()
	c := tcptest.Dial(t, tcptest.Loopback(port))
	accepted := <-conns
	l.Close()
	l.Close()
	if _, err := net.Dial("tcp", tcptest.Loopback(port).String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Close: %v", err)
	}
	_, _ = accepted.Write([]byte("still open"))
	tcptest.WantRead(t, c, "still open")
	accepted.Close() // leaves TIME_WAIT behind, which must not keep the port
	again, err := Open(port, tcptest.Loops(t, 1), (*tcp.Conn).Close, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// What has queued up when the port is closed is accepted, not reset.
func TestCloseServesTheQueue(t *testing.T) {
	entered, release := make(chan struct{}, 100), make(chan struct{})
	l, err := Open(0, tcptest.Loops(t, 1), func(c *tcp.Conn) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(c, "served")
		c.Close()
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const queued = 20
	var clients []*net.TCPConn
	for range 1 + queued {
		clients = append(clients, tcptest.Dial(t, tcptest.Loopback(l.Port())))
	}
	<-entered // accepting is busy with the first
	closed := make(chan struct{})
	go func() { l.Close(); close(closed) }()
	close(release)
	for _, c := range clients {
		tcptest.WantRead(t, c, "served")
	}
	<-closed
}

func TestManyConnectionsLeaveNothing(t *testing.T) {
	l, conns := open1(t)
	fds, goroutines := tcptest.Descriptors(t), runtime.NumGoroutine()
	for range 2000 {
		c, err := net.Dial("tcp", tcptest.Loopback(l.Port()).String())
		if err != nil {
			t.Fatal(err)
		}
		tcptest.Reset(c.(*net.TCPConn))
		(<-conns).Close()
	}
	if now := tcptest.Descriptors(t); now > fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}

func TestSurvivesEMFILE(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starveEnv+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	var port uint16
	if _, err := fmt.Fscanf(out, "listening on %d\n", &port); err != nil {
		t.Fatal(err)
	}
	c := tcptest.Dial(t, tcptest.Loopback(port))
	got, err := io.ReadAll(c)
	if string(got) != "at last" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, rest)
	}
}

// starve runs in a subprocess: it listens, runs out of descriptors until accepting has failed five times, and must
// then still accept.
func starve() error {
	const failures = 5
	conns, errs := make(chan *tcp.Conn, 1), make(chan error, 100)
	loops, err := tcp.Start(1)
	if err != nil {
		return err
	}
	defer loops.Close()
	l, err := Open(0, loops, func(c *tcp.Conn) { conns <- c }, func(err error) { errs <- err })
	if err != nil {
		return err
	}
	defer l.Close()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		return err
	}
	start := time.Now()
	fmt.Printf("listening on %d\n", l.Port())
	for range failures {
		if err := <-errs; !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("accept error %w, want EMFILE", err)
		}
	}
	if waited := time.Since(start); waited < (5+10+20+40)*time.Millisecond {
		return fmt.Errorf("%d failures in %v: no back-off", failures, waited)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	c := <-conns
	defer c.Close()
	_, err = io.WriteString(c, "at last")
	return err
}
