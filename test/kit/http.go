package kit

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Reply is an answer of the test app.
type Reply struct {
	Pod     string `json:"pod"`     // who answered
	Request int64  `json:"request"` // 1 for that pod's first
	Client  string `json:"client"`  // the peer's address and port, as the app sees it
	Server  string `json:"server"`  // the address and port that answered
	// Began is when the connection's first byte was read, by the clock of all on this machine.
	Began time.Time `json:"began"`
	Asked string    `json:"asked"` // the path and query that it was asked
}

// Peer is the address that the app was called from: the proxy's, if there is one in between.
func (r Reply) Peer() string {
	host, _, _ := net.SplitHostPort(r.Client)
	return host
}

// Port is the port that answered.
func (r Reply) Port() string {
	_, port, _ := net.SplitHostPort(r.Server)
	return port
}

// Conn is an HTTP connection to the test app. What becomes of it is what its user sees: nothing is tried again.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// Open opens a connection from inside the node.
func (n Node) Open(ctx context.Context, address string) (*Conn, error) {
	conn, err := n.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}

// NewConn is an open connection, however it was made.
func NewConn(conn net.Conn) *Conn { return &Conn{conn, bufio.NewReader(conn)} }

// Ask asks who answers.
func (c *Conn) Ask(within time.Duration) (Reply, error) {
	body, err := c.do(within, http.MethodGet, "/", "")
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	if err := json.Unmarshal([]byte(body), &reply); err != nil {
		return Reply{}, Wrongf("answer %q is not the app's", body)
	}
	return reply, nil
}

// Echo sends a text and checks that it comes back.
func (c *Conn) Echo(within time.Duration, text string) error {
	body, err := c.do(within, http.MethodPost, "/echo", text)
	if err == nil && body != text {
		err = Wrongf("sent %q, got %q back", text, body)
	}
	return err
}

func (c *Conn) do(within time.Duration, method, path, body string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	request, err := http.NewRequest(method, "http://"+c.RemoteAddr().String()+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if err := request.Write(c); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(c.r, request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = Wrongf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return string(answer), err
}

// Wrongf is the error of an answer that came whole and is not the right one.
func Wrongf(format string, args ...any) error { return &wrongError{fmt.Sprintf(format, args...)} }

type wrongError struct{ what string }

func (e *wrongError) Error() string { return e.what }
