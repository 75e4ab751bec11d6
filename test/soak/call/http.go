package call

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"

	"tpa.dev/tpa/test/kit"
)

// HTTP asks the test app, and keeps the connection for the next request.
func HTTP(ctx context.Context, conn net.Conn, s Script) (Who, error) {
	r := bufio.NewReader(conn)
	return s.each(ctx, conn, func(nonce string) (Who, error) { return get(conn, r, nonce, false) })
}

// HTTPClose asks the test app once, without keep-alive: the app ends the connection, after the answer and in order. Only
// the first nonce is used.
func HTTPClose(ctx context.Context, conn net.Conn, s Script) (Who, error) {
	r := bufio.NewReader(conn)
	s.Nonces = s.Nonces[:1]
	who, err := s.each(ctx, conn, func(nonce string) (Who, error) { return get(conn, r, nonce, true) })
	if err != nil {
		return who, err
	}
	rest, err := io.ReadAll(r)
	if err == nil && len(rest) > 0 {
		err = kit.Wrongf("%q came after the answer", rest)
	}
	return who, err
}

func get(conn net.Conn, r *bufio.Reader, nonce string, last bool) (Who, error) {
	path := "/?nonce=" + nonce
	request, err := http.NewRequest(http.MethodGet, "http://"+conn.RemoteAddr().String()+path, nil)
	if err != nil {
		return Who{}, err
	}
	request.Close = last
	if err := request.Write(conn); err != nil {
		return Who{}, err
	}
	response, err := http.ReadResponse(r, request)
	if err != nil {
		return Who{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Who{}, err
	}
	var reply kit.Reply
	if err := json.Unmarshal(body, &reply); err != nil || response.StatusCode != http.StatusOK {
		return Who{}, kit.Wrongf("asked for %s: %s: %q", path, response.Status, body)
	}
	if whole, err := json.Marshal(reply); err != nil || string(body) != string(whole)+"\n" || reply.Asked != path {
		return Who{}, kit.Wrongf("asked for %s, answered: %q", path, body)
	}
	return Who{Pod: reply.Pod, Server: host(reply.Server), Peer: reply.Peer()}, nil
}
