//go:build !linux

package kit

import "errors"

// InNetns needs Linux.
func InNetns(string, func() error) error { return errors.ErrUnsupported }
