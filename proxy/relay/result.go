package relay

import (
	"errors"
	"syscall"
	"time"
)

// Reasons for a session to end other than both peers having closed. Result.Err wraps one of them and the cause.
var (
	ErrClient  = errors.New("client connection failed")
	ErrBackend = errors.New("backend connection failed")
	ErrAborted = errors.New("aborted")
	ErrParked  = errors.New("ended while parked")
)

// Result says what a finished session has moved and how it ended.
type Result struct {
	// ToBackend and ToClient are the bytes handed to each peer's socket.
	ToBackend, ToClient int64
	// Last is when bytes last moved, in either direction, to the millisecond; the beginning if they never have.
	Last time.Time
	// Err is nil if both peers closed; otherwise it wraps ErrClient, ErrBackend or ErrAborted, or is ErrParked.
	Err error
}

// peerGone reports whether a write failed because the peer's end of the connection no longer exists.
func peerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ETIMEDOUT)
}

// closedFirst reports whether a write failed although the peer had closed in good order before: Linux reports a reset
// that follows the peer's FIN as EPIPE, and one that does not as ECONNRESET.
func closedFirst(err error) bool { return errors.Is(err, syscall.EPIPE) }
