package balance

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// conns is how many connections there are at any time.
const conns = 64

// Measure puts load on a proxy of the backends for some time, and returns the average number of connections of the most
// loaded one as a multiple of the mean over all. The first fifth does not count.
func Measure(ctx context.Context, proxy string, backends *Backends, long time.Duration) (float64, error) {
	deadline := time.Now().Add(long)
	group, ctx := errgroup.WithContext(ctx)
	for range conns {
		group.Go(func() error {
			for time.Now().Before(deadline) {
				if err := request(ctx, proxy); err != nil {
					return fmt.Errorf("request to %s: %w", proxy, err)
				}
			}
			return nil
		})
	}
	var imbalance float64
	group.Go(func() error {
		if err := pause(ctx, long/5); err != nil {
			return err
		}
		backends.reset()
		if err := pause(ctx, time.Until(deadline)); err != nil {
			return err
		}
		imbalance = mostByMean(backends.means())
		return nil
	})
	err := group.Wait()
	return imbalance, err
}

// request is one connection with one request.
func request(ctx context.Context, proxy string) error {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", proxy)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	var message [messageSize]byte
	if _, err := conn.Write(message[:]); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, message[:])
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func mostByMean(loads []float64) float64 {
	sum := 0.0
	for _, load := range loads {
		sum += load
	}
	return slices.Max(loads) * float64(len(loads)) / sum
}
