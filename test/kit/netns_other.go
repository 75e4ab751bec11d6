//go:build !linux

package kit

import "errors"

func inNetns(string, func() error) error { return errors.ErrUnsupported }
