package call

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"

	"tpa.dev/tpa/test/kit"
)

// Greeting talks with the test app's port that speaks first: it says who it is, then returns each line.
func Greeting(ctx context.Context, conn net.Conn, s Script) (Who, error) {
	r := bufio.NewReader(conn)
	pod := ""
	return s.each(ctx, conn, func(nonce string) (Who, error) {
		if pod == "" {
			line, err := r.ReadString('\n')
			if err != nil {
				return Who{}, err
			}
			name, ok := strings.CutPrefix(line, "hello from ")
			if !ok {
				return Who{}, kit.Wrongf("greeted with %q", line)
			}
			pod = strings.TrimSuffix(name, "\n")
		}
		if _, err := fmt.Fprintln(conn, nonce); err != nil {
			return Who{}, err
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return Who{}, err
		}
		if line != nonce+"\n" {
			return Who{}, kit.Wrongf("sent %q, got %q back", nonce, line)
		}
		return Who{Pod: pod}, nil
	})
}
