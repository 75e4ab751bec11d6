package call

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"tpa.dev/tpa/test/kit"
)

// Redis has a Redis server return each nonce, and asks it who talks with whom.
func Redis(ctx context.Context, conn net.Conn, s Script) (Who, error) {
	r := bufio.NewReader(conn)
	return s.each(ctx, conn, func(nonce string) (Who, error) {
		// Both in one write: a pipeline, which must be answered in its order.
		if _, err := fmt.Fprintf(conn, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n", len(nonce), nonce); err != nil {
			return Who{}, err
		}
		echo, err := bulk(r)
		if err != nil {
			return Who{}, err
		}
		if echo != nonce {
			return Who{}, kit.Wrongf("ECHO %s: %q", nonce, echo)
		}
		info, err := bulk(r)
		if err != nil {
			return Who{}, err
		}
		// https://redis.io/docs/latest/commands/client-list/
		var who Who
		for field := range strings.FieldsSeq(info) {
			switch name, value, _ := strings.Cut(field, "="); name {
			case "addr":
				who.Peer = host(value)
			case "laddr":
				who.Server = host(value)
			}
		}
		if who.Server == "" {
			return Who{}, kit.Wrongf("CLIENT INFO: %q", info)
		}
		return who, nil
	})
}

// bulk reads a bulk string, as https://redis.io/docs/latest/develop/reference/protocol-spec/ has it.
func bulk(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(line, "$"), "\r\n"))
	if err != nil || line[0] != '$' || n < 0 || n > 1<<16 {
		return "", kit.Wrongf("no bulk string: %q", line)
	}
	data := make([]byte, n+2)
	if _, err := io.ReadFull(r, data); err != nil {
		return "", err
	}
	if string(data[n:]) != "\r\n" {
		return "", kit.Wrongf("a bulk string of %d bytes ends with %q", n, data[n:])
	}
	return string(data[:n]), nil
}
