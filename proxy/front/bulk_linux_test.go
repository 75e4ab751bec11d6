package front_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"

	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

const (
	peersEnv = "FRONT_TEST_PEERS" // the address that the client connects to
	bulkSize = 128 << 20          // each way
)

// As a subprocess the test binary is the client and the server of a bulk transfer, so that the process that relays it
// does nothing else. It inherits the server's listener.
func init() {
	if address := os.Getenv(peersEnv); address != "" {
		if err := peers(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func peers(address string) error {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	client, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	server, err := l.Accept()
	if err != nil {
		return err
	}
	request, response := block(1), block(2)
	served := make(chan error)
	go func() {
		err := wantBlocks(server, request)
		served <- errors.Join(err, sendBlocks(server, response))
	}()
	err = sendBlocks(client, request)
	if err = errors.Join(err, wantBlocks(client, response), <-served); err != nil {
		return fmt.Errorf("client, server: %w", err)
	}
	return nil
}

// sendBlocks sends one block again and again, at full speed, and then the end.
func sendBlocks(c net.Conn, block []byte) error {
	for left := bulkSize; left > 0; left -= len(block) {
		if _, err := c.Write(block[:min(len(block), left)]); err != nil {
			return err
		}
	}
	return c.(*net.TCPConn).CloseWrite()
}

// block is random, and of a length that no buffer has: bytes that are lost or come twice are noticed.
func block(seed byte) []byte {
	b := make([]byte, 1_000_003)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func wantBlocks(r io.Reader, block []byte) error {
	buf, total := make([]byte, 256<<10), 0
	for {
		n, err := r.Read(buf)
		for got := buf[:n]; len(got) > 0; {
			want := block[total%len(block):]
			want = want[:min(len(want), len(got))]
			if !bytes.HasPrefix(got, want) {
				return fmt.Errorf("after %d bytes comes what was not sent", total)
			}
			got, total = got[len(want):], total+len(want)
		}
		switch {
		case err == io.EOF && total == bulkSize:
			return nil
		case err != nil:
			return fmt.Errorf("after %d of %d bytes: %w", total, bulkSize, err)
		}
	}
}

// A flow that began with a header is spliced as any other. One direction follows the other, because HAProxy 2.6 may
// lose the ends of both if they come at the same time.
//
// The kernel counts the bytes that a process reads and writes itself, which spliced ones are not.
func TestBulkBehindTheHeader(t *testing.T) {
	for i, r := range receivers {
		version := front.ProxyProtocol(1 + i)
		t.Run(fmt.Sprintf("%s/v%d", r.name, version), func(t *testing.T) {
			p, server, behind := newProxied(t, version), listen(t), listen(t)
			r.start(t, listen(t), server, address(behind))
			p.setBackend(server)
			inherited, err := behind.File()
			if err != nil {
				t.Fatal(err)
			}
			defer inherited.Close()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), peersEnv+"="+tcptest.Loopback(p.port).String())
			cmd.ExtraFiles = []*os.File{inherited}
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			before := copied(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tcptest.Eventually(t, "the transfer has ended", func() bool { return p.Stats().Ended(front.Relayed) == 1 })
			n := copied(t) - before // and not after Wait, which adds what the subprocess has copied
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, &output)
			}
			const total = 2 * 2 * bulkSize // each byte is read and written
			t.Logf("%.1f %% of the bytes were copied, the rest spliced", 100*float64(n)/total)
			if n > total*2/5 { // half of them are one direction's
				t.Errorf("%d of %d bytes were copied: not a spliced flow", n, total)
			}
		})
	}
}

// copied returns how many bytes this process has read and written itself.
func copied(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var read, written int64
	if _, err := fmt.Sscanf(string(b), "rchar: %d\nwchar: %d", &read, &written); err != nil {
		t.Fatal(err)
	}
	return read + written
}
