package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Main is the TestMain of a package whose tests share an API server: it starts one, has run use it, stops it, and returns
// the exit code, which is run's unless there is an error.
func Main(o Options, run func(context.Context, *Server) (code int, err error)) int {
	ctx := context.Background()
	server, err := Start(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code, err := run(ctx, server)
	if err := errors.Join(err, server.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
