package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

type app struct {
	pod      string
	requests atomic.Int64
	stopping atomic.Bool
}

// reply is one line of JSON.
type reply struct {
	Pod     string `json:"pod"`
	Request int64  `json:"request"` // 1 for the pod's first
	Client  string `json:"client"`  // address and port of the peer
	Server  string `json:"server"`  // address and port that answered
	// Began is when the first byte of the connection's first request was read, by this machine's clock.
	Began time.Time `json:"began"`
	Asked string    `json:"asked"` // path and query of the request
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.answer)
	mux.HandleFunc("/slow", a.slow)
	mux.HandleFunc("/echo", a.echo)
	mux.HandleFunc("/ready", a.ready)
	return mux
}

func (a *app) answer(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	conn, _ := r.Context().Value(connKey{}).(*stampedConn)
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone is none of ours to report.
	_ = json.NewEncoder(w).Encode(reply{
		Pod: a.pod, Request: a.requests.Add(1), Client: r.RemoteAddr, Server: fmt.Sprint(local), Began: conn.began(),
		Asked: r.RequestURI,
	})
}

func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.FormValue("d"))
	if err != nil {
		http.Error(w, "d: "+err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
		a.answer(w, r)
	case <-r.Context().Done():
	}
}

// echo answers while the request still comes in, so that it also shows a half-closed connection.
func (a *app) echo(w http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always is
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil || control.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// ready does not count: a kubelet asks it every second.
func (a *app) ready(w http.ResponseWriter, _ *http.Request) {
	if a.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (a *app) serveGreeting(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go a.greet(conn)
	}
}

func (a *app) greet(conn net.Conn) {
	defer conn.Close()
	a.requests.Add(1)
	if _, err := fmt.Fprintf(conn, "hello from %s\n", a.pod); err != nil {
		return
	}
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if _, werr := io.WriteString(conn, line); err != nil || werr != nil {
			return
		}
	}
}
