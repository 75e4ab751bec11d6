package kit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// behaviour is what a server does with the connections that it accepts, one after the other.
type behaviour func(net.Conn)

func answer(body string) behaviour {
	return func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	}
}

func reset(conn net.Conn) {
	_, _ = http.ReadRequest(bufio.NewReader(conn))
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func silent(conn net.Conn) { _, _ = conn.Read(make([]byte, 1<<10)) }

// TestLoadCounts sends one request to each of a row of connections, and looks how each was counted.
func TestLoadCounts(t *testing.T) {
	good := answer(`{"pod":"web-1","client":"10.0.0.9:1234"}`)
	for _, test := range []struct {
		name    string
		retry   bool
		does    []behaviour // nil: nobody listens
		want    map[Kind]int
		retried map[Kind]int
	}{
		{"good", false, []behaviour{good, good, good}, map[Kind]int{OK: 3}, map[Kind]int{}},
		{"refused", false, []behaviour{good, nil, good}, map[Kind]int{OK: 2, Refused: 1}, map[Kind]int{}},
		{"reset", false, []behaviour{reset, good}, map[Kind]int{OK: 1, Reset: 1}, map[Kind]int{}},
		{"closed", false, []behaviour{func(c net.Conn) { c.Close() }, good}, map[Kind]int{OK: 1, Reset: 1}, map[Kind]int{}},
		{"late", false, []behaviour{silent, good}, map[Kind]int{OK: 1, Timeout: 1}, map[Kind]int{}},
		{"another's", false, []behaviour{answer(`{"pod":"shop-1"}`), answer("hello")}, map[Kind]int{Wrong: 2}, map[Kind]int{}},
		{"second try", true, []behaviour{reset, good, good}, map[Kind]int{OK: 2}, map[Kind]int{Reset: 1}},
		{"second try fails", true, []behaviour{reset, nil, good}, map[Kind]int{OK: 1, Refused: 1}, map[Kind]int{Reset: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var next atomic.Int64
			each := map[Kind]int{}
			load := Load{App: "web-", Clients: 1, Pause: time.Nanosecond, Retry: test.retry, Timeout: 200 * time.Millisecond}
			load.Each = func(start time.Time, took time.Duration, err error) {
				each[KindOf(err)]++
				if now := time.Now(); took < 0 || start.Add(took).After(now) || KindOf(err) == Timeout && took < load.Timeout {
					t.Errorf("a request from %s took %s, and it is %s", start, took, now)
				}
			}
			r := newRunning(load, func(context.Context) (*Conn, error) {
				i := int(next.Add(1)) - 1
				if i == len(test.does)-1 {
					cancel() // the request that has begun is the last, and counts
				}
				if test.does[i] == nil {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				return pair(t, test.does[i]), nil
			})
			r.start(ctx)
			r.done.Wait()
			tally := r.Tally()
			if !maps.Equal(tally.Count, test.want) || !maps.Equal(tally.Retried, test.retried) {
				t.Errorf("counted %v, retried %v; want %v, %v", tally.Count, tally.Retried, test.want, test.retried)
			}
			if !maps.Equal(each, test.want) {
				t.Errorf("told of %v, want %v", each, test.want)
			}
			failed := 0
			for kind, n := range test.want {
				if kind != OK {
					failed += n
				}
			}
			if tally.Failed() != failed {
				t.Errorf("Failed is %d, want %d", tally.Failed(), failed)
			}
		})
	}
}

// alive answers every request on a connection.
func alive(conn net.Conn) { answers(conn, math.MaxInt) }

// answers answers so many requests and then closes the connection.
func answers(conn net.Conn, n int) {
	defer conn.Close()
	for r := bufio.NewReader(conn); n > 0; n-- {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		body := `{"pod":"web-1","client":"10.0.0.9:1234"}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// TestKeepAlive asks for a while over connections that are kept.
func TestKeepAlive(t *testing.T) {
	for _, test := range []struct {
		name string
		life time.Duration
	}{
		{"for ever", 0},
		{"for less than a request", time.Nanosecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := newRunning(Load{Clients: 1, Pause: time.Millisecond, KeepAlive: true, Life: test.life, Timeout: time.Second},
				func(context.Context) (*Conn, error) { return pair(t, alive), nil })
			r.start(ctx)
			err := Wait(ctx, 10*time.Second, "5 answers", func(context.Context) (bool, string) {
				return r.Tally().Count[OK] >= 5, r.Tally().String()
			})
			if err != nil {
				t.Fatal(err)
			}
			tally := r.Stop()
			if test.life == 0 && tally.Connections != 1 || test.life > 0 && tally.Connections != tally.Count[OK] {
				t.Errorf("%d connections for %s", tally.Connections, tally)
			}
		})
	}
}

// TestConn asks on a given connection until it fails, and that failure counts once.
func TestConn(t *testing.T) {
	conn := pair(t, func(conn net.Conn) { answers(conn, 3) })
	r := StartLoad(t.Context(), Load{Conn: conn, Pause: time.Nanosecond, Retry: true})
	r.done.Wait()
	if tally := r.Tally(); tally.Count[OK] != 3 || tally.Count[Reset] != 1 || tally.Failed() != 1 || tally.Connections != 1 {
		t.Errorf("%d connections, %s; want 1, 3 ok and 1 reset", tally.Connections, tally)
	}
}

func TestPlus(t *testing.T) {
	a := Tally{Count: map[Kind]int{OK: 2}, Connections: 1, Slowest: time.Second, Failures: []string{"x"}}
	b := Tally{Count: map[Kind]int{OK: 1, Reset: 3}, Peers: map[string]int{"10.0.0.9": 1}, Connections: 2, Failures: []string{"y"}}
	sum := Tally{}.Plus(a).Plus(b)
	if sum.Count[OK] != 3 || sum.Failed() != 3 || sum.Connections != 3 || sum.Slowest != time.Second || len(sum.Failures) != 2 ||
		sum.Peers["10.0.0.9"] != 1 {
		t.Errorf("sum: %s", sum)
	}
	if a.Count[OK] != 2 || len(a.Count) != 1 {
		t.Errorf("Plus changed what it adds to: %s", a)
	}
}

// pair is a connection to a server that treats it in some way.
func pair(t *testing.T, does behaviour) *Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go does(server)
	return &Conn{conn, bufio.NewReader(conn)}
}

func TestWaitSaysWhatItSaw(t *testing.T) {
	looks := 0
	err := Wait(t.Context(), 120*time.Millisecond, "the moon", func(context.Context) (bool, string) {
		looks++
		return false, fmt.Sprintf("cloud %d", looks)
	})
	if err == nil || looks < 2 {
		t.Fatalf("%d looks, error %v", looks, err)
	}
	if want := fmt.Sprintf("the moon; last seen: cloud %d", looks); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%q does not end with %q", err, want)
	}
	if err := Wait(t.Context(), time.Minute, "now", func(context.Context) (bool, string) { return true, "" }); err != nil {
		t.Error(err)
	}
}

func TestKindOf(t *testing.T) {
	if kind := KindOf(errors.New("something else")); kind != Other {
		t.Errorf("got %s", kind)
	}
}
