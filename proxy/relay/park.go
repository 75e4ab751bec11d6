package relay

import "time"

// Owner decides for a session that may be parked. Its methods are called with the session locked: they must neither wait nor
// call the session.
type Owner interface {
	// Park is asked whether a session in which no byte has moved since last is to be parked.
	Park(last time.Time) bool
	// Wake is told, once, that a peer of a parked session has sent something, has ended or has failed. If it returns true the
	// session goes on at once; otherwise it stays parked until Resume or End.
	Wake() bool
}
