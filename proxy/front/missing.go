package front

import "context"

// holding is the context of all held connections of a Service.
type holding struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (s *Service) newHolding() *holding {
	ctx, cancel := context.WithCancelCause(s.ctx)
	return &holding{ctx, cancel}
}

// setMissing ends the held connections of a target that does not exist, or has connections held again. The caller holds
// s.mu.
func (s *Service) setMissing(missing bool) {
	h := s.holding.Load()
	switch ended := h.ctx.Err() != nil; {
	case missing && !ended:
		h.cancel(errMissing)
	case !missing && ended:
		s.holding.Store(s.newHolding())
	}
}

// mayHold returns the context of a connection that is to be held, or errMissing.
func (s *Service) mayHold() (context.Context, error) {
	if missed := s.settings.Load().OnMissing; missed != nil {
		missed()
		return nil, errMissing
	}
	return s.holding.Load().ctx, nil
}
