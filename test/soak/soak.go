package main

import (
	"context"
	"errors"
	"time"
)

// soak has clients call for a while, and judges what became of their connections.
func (f *fleet) soak(ctx context.Context, o options) (result, error) {
	s, err := f.start(ctx, o, nil)
	if err != nil {
		return result{}, err
	}
	select {
	case <-time.After(o.length):
	case <-ctx.Done():
		err = ctx.Err()
	}
	r := s.finish()
	return r, errors.Join(err, r.judge(o.rounds))
}
