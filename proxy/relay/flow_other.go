//go:build !linux

package relay

import "io"

// flow needs no state where bytes are copied by plain reads and writes.
type flow struct{}

// pump moves bytes from src to dst until src ends (nil, nil), reading fails or writing fails. Unlike the Linux one it
// holds its buffer while it waits.
func (d *direction) pump() (readErr, writeErr error) {
	buf := takeBuffer()
	defer buffers.Put(buf)
	for {
		n, err := d.src.Read(buf[:])
		if n > 0 {
			written, werr := d.dst.Write(buf[:n])
			d.count(written)
			if werr != nil {
				d.mu.Lock()
				d.broken = werr
				d.mu.Unlock()
				return nil, werr
			}
		}
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
	}
}

// awaitReset would wait for src to fail; without a way to ask, the opposite direction finds out when it writes.
func (d *direction) awaitReset() error { return nil }

func (d *direction) release() {}
