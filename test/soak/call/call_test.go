package call

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
	"tpa.dev/tpa/test/kit"
)

// script asks twice, for a and b.
func script() Script {
	return Script{Within: 300 * time.Millisecond, Nonces: []string{"a", "b"}, Pauses: []time.Duration{time.Millisecond}}
}

// talk talks with a server that serves one connection.
func talk(t *testing.T, protocol Protocol, serve func(net.Conn, *bufio.Reader)) (Who, error) {
	t.Helper()
	listener, address := tcptest.Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn, bufio.NewReader(conn))
	}()
	conn := tcptest.Dial(t, address)
	who, err := protocol(context.Background(), conn, script())
	conn.Close()
	<-done
	return who, err
}

// app answers as the test app does, but for what spoil does to each answer.
func app(spoil func(i int, body string) string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			reply, err := json.Marshal(kit.Reply{
				Pod: "web-1", Request: int64(i + 1), Client: "10.0.0.1:1", Server: "10.0.0.2:2", Asked: request.RequestURI,
			})
			if err != nil {
				return
			}
			body := spoil(i, string(reply)+"\n")
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if request.Close {
				return
			}
		}
	}
}

func lines(greeting string, back func(string) string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(conn, greeting)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, back(line))
		}
	}
}

// redis answers each pair of commands, which a Script's fit in one read, with the answers in their order.
func redis(answers ...string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for _, answer := range answers {
			for range 10 { // lines of both commands
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

func bulkString(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

const info = "id=3 addr=10.0.0.1:9 laddr=10.0.0.2:6379 fd=8"

func TestProtocols(t *testing.T) {
	same := func(_ int, body string) string { return body }
	echo := func(line string) string { return line }
	silent := func(conn net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, conn) }
	closes := func(net.Conn, *bufio.Reader) {}
	me := Who{Pod: "web-1", Server: "10.0.0.2", Peer: "10.0.0.1"}
	for _, test := range []struct {
		name     string
		protocol Protocol
		serve    func(net.Conn, *bufio.Reader)
		who      Who
		want     kit.Kind
	}{
		{"http", HTTP, app(same), me, kit.OK},
		{"http without keep-alive", HTTPClose, app(same), me, kit.OK},
		{"http, another's nonce", HTTP, app(func(i int, body string) string {
			return strings.Replace(body, "nonce=b", "nonce=a", 1)
		}), me, kit.Wrong},
		{"http, a byte more", HTTPClose, app(func(_ int, body string) string { return body + " " }), Who{}, kit.Wrong},
		{"http, another pod on the way", HTTP, app(func(i int, body string) string {
			return strings.Replace(body, "web-1", fmt.Sprint("web-", i), 1)
		}), Who{Pod: "web-0", Server: "10.0.0.2", Peer: "10.0.0.1"}, kit.Wrong},
		{"http, no answer", HTTP, silent, Who{}, kit.Timeout},
		{"http, closed", HTTP, closes, Who{}, End},
		{"greeting", Greeting, lines("hello from web-1\n", echo), Who{Pod: "web-1"}, kit.OK},
		{"greeting of another server", Greeting, lines("220 mail\n", echo), Who{}, kit.Wrong},
		{"greeting, another line", Greeting, lines("hello from web-1\n", strings.ToUpper), Who{}, kit.Wrong},
		{"greeting, cut off", Greeting, func(conn net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(conn, "hel") }, Who{}, End},
		{"redis", Redis, redis(bulkString("a")+bulkString(info), bulkString("b")+bulkString(info)), Who{Server: "10.0.0.2", Peer: "10.0.0.1"}, kit.OK},
		{"redis, the other nonce", Redis, redis(bulkString("b") + bulkString(info)), Who{}, kit.Wrong},
		{"redis, an error", Redis, redis("-LOADING\r\n"), Who{}, kit.Wrong},
		{"postgres, no answer", Postgres, silent, Who{}, kit.Timeout},
		{"postgres, closed", Postgres, closes, Who{}, End},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			who, err := talk(t, test.protocol, test.serve)
			kind := KindOf(err)
			if test.want == End && kind == kit.Reset {
				kind = End // the server closed with the request unread
			}
			if kind != test.want || who != test.who {
				t.Errorf("%s: %v, %+v; want %s, %+v", kind, err, who, test.want, test.who)
			}
		})
	}
}
