package load

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

func bulk(job Job) (Result, error) {
	p, err := newPoller()
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	offsets := map[int]int64{} // by descriptor
	defer func() {
		for fd := range offsets {
			_ = unix.Close(fd)
		}
	}()
	for range job.Conns {
		fd, err := dial(job.Address)
		if err != nil {
			return Result{}, err
		}
		offsets[fd] = 0
		if err := p.add(fd, unix.EPOLLIN); err != nil {
			return Result{}, err
		}
	}
	var (
		counted int64
		buf     = make([]byte, chunk)
		w       = newWindow(job)
	)
	for {
		ready, err := p.wait(patience)
		if err != nil {
			return Result{}, err
		}
		now := time.Now()
		counts, err := w.counts(now)
		if err != nil {
			return Result{}, err
		}
		if w.over(now) {
			return w.result(float64(counted))
		}
		for _, event := range ready {
			fd := int(event.Fd)
			n, err := unix.Read(fd, buf)
			if err == nil && n == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return Result{}, fmt.Errorf("receive a stream: %w", err)
			}
			if err := checkStream(buf[:n], offsets[fd]); err != nil {
				return Result{}, err
			}
			offsets[fd] += int64(n)
			if counts {
				counted += int64(n)
			}
		}
	}
}
