package hold

import "errors"

// ErrGone says that the client has left.
var ErrGone = errors.New("client has gone")
