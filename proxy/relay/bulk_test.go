package relay

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"golang.org/x/sync/errgroup"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A GiB each way at once. What arrives has the checksum of what was sent.
func TestGiBBothWays(t *testing.T) {
	const size = 1 << 30
	p := start(t)
	p.noDeadlines()        // the test's own is enough for as much
	var up, down [2]uint32 // sent and received
	var g errgroup.Group
	send := func(c *net.TCPConn, sum *uint32) {
		g.Go(func() (err error) {
			*sum, err = sendNumbered(c, size)
			return err
		})
	}
	receive := func(c *net.TCPConn, sum *uint32) {
		g.Go(func() (err error) {
			*sum, err = receiveSum(c, size)
			return err
		})
	}
	send(p.client, &up[0])
	receive(p.backend, &up[1])
	send(p.backend, &down[0])
	receive(p.client, &down[1])
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if up[0] != up[1] || down[0] != down[1] {
		t.Error("what arrived is not what was sent")
	}
	if r := p.wait(t); r.ToBackend != size || r.ToClient != size || r.Err != nil {
		t.Errorf("result %+v", r)
	}
}

// sendNumbered sends the same random block again and again, each with its position in front, then a FIN, and returns the
// checksum of it all.
func sendNumbered(c *net.TCPConn, size int) (sum uint32, err error) {
	block := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(block)
	for at := 0; at < size; at += len(block) {
		binary.LittleEndian.PutUint64(block, uint64(at))
		sum = crc32.Update(sum, castagnoli, block)
		if _, err := c.Write(block); err != nil {
			return 0, err
		}
	}
	return sum, c.CloseWrite()
}

// receiveSum returns the checksum of all that c receives, which must be size bytes.
func receiveSum(c *net.TCPConn, size int) (sum uint32, err error) {
	buf := make([]byte, 256<<10)
	received := 0
	for {
		n, err := c.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		received += n
		switch {
		case err == io.EOF && received == size:
			return sum, nil
		case err != nil:
			return 0, fmt.Errorf("after %d bytes: %w", received, err)
		}
	}
}
