//go:build !skewed

package target

import "time"

// now is the time as it is written to Leases and reads back from them. Nothing else that processes compare is taken from a
// clock; what one process measures, it measures with time.Now and time.Since.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
