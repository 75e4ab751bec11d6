package load

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// quick is a job that counts for a moment, of which this process is all parties.
func quick(kind Kind, address string) Job {
	return Job{
		Kind: kind, Address: address, Conns: 3, Rate: 2000, Warm: 10 * time.Millisecond, For: 200 * time.Millisecond,
		Proxy: []int{os.Getpid()}, Server: []int{os.Getpid()},
	}
}

// serve starts a server, which lasts as long as the tests.
func serve(t *testing.T) (echo, bulk string) {
	t.Helper()
	ports := []uint16{tcptest.FreePort(t), tcptest.FreePort(t)}
	server, err := Listen(int(ports[0]), int(ports[1]))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve() }()
	return tcptest.Loopback(ports[0]).String(), tcptest.Loopback(ports[1]).String()
}

func TestJobsCountWhatWasDone(t *testing.T) {
	echo, bulk := serve(t)
	for _, c := range []struct {
		kind         Kind
		address      string
		cpu, latency bool
	}{
		{Bulk, bulk, true, false},
		{RoundTrip, echo, true, true},
		{Connect, echo, true, false},
		{Saturate, echo, true, false},
		{Open, echo, false, true},
		{Hold, echo, false, false},
	} {
		r, err := do(quick(c.kind, c.address))
		if err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		if r.Units < 3 {
			t.Errorf("%s: %v units", c.kind, r.Units)
		}
		if c.cpu && (r.Proxy <= 0 || r.All < 3*r.Proxy/2) {
			t.Errorf("%s: CPU of the proxy %s, of all %s, of which each is this process", c.kind, r.Proxy, r.All)
		}
		if l := r.Latency; c.latency && (l.P50 <= 0 || l.P99 < l.P50 || l.P999 < l.P99) {
			t.Errorf("%s: latency %+v", c.kind, l)
		}
	}
}

// liar answers each read by what it makes of it, and speaks first if that is more than nothing.
func liar(t *testing.T, say func(read []byte) []byte) string {
	t.Helper()
	listener, address := tcptest.Listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go lie(conn, say)
		}
	}()
	return address.String()
}

func lie(conn net.Conn, say func([]byte) []byte) {
	defer conn.Close()
	buf := make([]byte, 1<<10)
	for n := 0; ; {
		if _, err := conn.Write(say(buf[:n])); err != nil {
			return
		}
		var err error
		if n, err = conn.Read(buf); err != nil {
			return
		}
	}
}

func TestWrongAnswersFail(t *testing.T) {
	flip := func(read []byte) []byte {
		if len(read) > 0 {
			read[len(read)-1] ^= 1
		}
		return read
	}
	twice := func(read []byte) []byte { return append(read, read...) }
	otherStream := func([]byte) []byte { return stream[1:100] }
	for _, c := range []struct {
		name  string
		kinds []Kind
		say   func([]byte) []byte
		want  string
	}{
		{"a bit flipped", []Kind{RoundTrip, Connect, Saturate, Open, Hold}, flip, "another message"},
		{"an answer too many", []Kind{RoundTrip, Saturate, Open}, twice, "was sent"},
		{"a stream from another offset", []Kind{Bulk}, otherStream, "wrong bytes"},
	} {
		for _, kind := range c.kinds {
			if _, err := do(quick(kind, liar(t, c.say))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: error %v, want one with %q", c.name, kind, err, c.want)
			}
		}
	}
}

func TestServersThatHangUpFail(t *testing.T) {
	listener, address := tcptest.Listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	for _, kind := range []Kind{Bulk, RoundTrip, Connect, Saturate, Open, Hold} {
		if _, err := do(quick(kind, address.String())); err == nil {
			t.Errorf("%s: no error", kind)
		}
	}
}

func TestStreamIsCheckedAtAnyOffset(t *testing.T) {
	for _, offset := range []int64{0, 1, streamPeriod - 1, streamPeriod, 5*streamPeriod - looked/2} {
		read := make([]byte, 3*looked)
		for i := range read {
			read[i] = stream[(offset+int64(i))%streamPeriod]
		}
		for _, n := range []int{1, looked, len(read)} {
			if err := checkStream(read[:n], offset); err != nil {
				t.Errorf("offset %d, %d bytes: %v", offset, n, err)
			}
		}
		read[len(read)-1] ^= 1
		if err := checkStream(read, offset); err == nil {
			t.Errorf("offset %d: a wrong last byte is not noticed", offset)
		}
	}
}

func TestLatencyIsFromWhenAMessageWasDue(t *testing.T) {
	const pause = 300 * time.Millisecond
	first := true
	address := liar(t, func(read []byte) []byte {
		if len(read) > 0 && first {
			first = false
			time.Sleep(pause) // what is measured: a server that stalls once
		}
		return read
	})
	job := quick(Open, address)
	job.Conns, job.Warm = 1, 0
	r, err := do(job)
	if err != nil {
		t.Fatal(err)
	}
	// Closed, only one message would have been late; open, those that were due during the pause are, too.
	if r.Latency.P50 < pause/3 {
		t.Errorf("median %s although nothing came back for %s of %s", r.Latency.P50, pause, job.For)
	}
}

func TestWorkTellsOfFailures(t *testing.T) {
	in, jobs := io.Pipe()
	results, out := io.Pipe()
	worked := make(chan error, 1)
	go func() { worked <- Work(in, out) }()
	go func() {
		_, _ = io.WriteString(jobs, `{"Kind":"juggle"}`)
		_ = jobs.Close()
	}()
	buf := make([]byte, 1<<10)
	n, err := results.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "juggle") {
		t.Errorf("result %s, %v", buf[:n], err)
	}
	if err := <-worked; err != nil {
		t.Error(err)
	}
}

func TestServerClosesWhenItsPeerDoes(t *testing.T) {
	echo, bulk := serve(t)
	for _, address := range []string{echo, bulk} {
		fd, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, chunk)
		for n := 1; n > 0; {
			if n, err = unix.Read(fd, buf); err != nil && err != unix.ECONNRESET && err != unix.EINTR {
				t.Fatal(err)
			} else if err == unix.EINTR {
				n = 1
			}
		}
		_ = unix.Close(fd)
	}
}
