package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// MessageSize is the size of what is exchanged in round trips.
const MessageSize = 64

// writeMessage makes the nth message of a connection.
func writeMessage(message *[MessageSize]byte, n uint64) {
	copy(message[:], stream[:])
	binary.LittleEndian.PutUint64(message[:], n)
}

// A stream repeats streamPeriod bytes of noise, so that a few of them tell the place.
const (
	streamPeriod = 1 << 20
	// chunk is how much is read and written at once.
	chunk = 256 << 10
	// looked is how many bytes are compared at each end of a read.
	looked = 64
)

// stream is one period, and the beginning of the next.
var stream = func() []byte {
	s := make([]byte, streamPeriod+looked)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(s[:streamPeriod])
	copy(s[streamPeriod:], s)
	return s
}()

// checkStream looks at both ends of what was read at an offset of a stream.
func checkStream(read []byte, offset int64) error {
	n := min(looked, len(read))
	for _, at := range []int{0, len(read) - n} {
		place := (offset + int64(at)) % streamPeriod
		if !bytes.Equal(read[at:at+n], stream[place:place+int64(n)]) {
			return fmt.Errorf("wrong bytes at offset %d of a stream", offset+int64(at))
		}
	}
	return nil
}
