// Command app is what sleeps and wakes in TPA's tests and demo: an HTTP server that says which pod answered, and TCP
// ports that speak first.
//
//	app --addr :8080,:8081 --greeting :9000 --start-delay 2s
//
// Every answer of an HTTP port is a line of JSON (see reply):
//
//	/            who answers, the how-manieth request this is for the pod, who asks and what, and when the connection's first
//	             byte came
//	/slow?d=3s   the same after a while; a client that goes away ends it
//	/echo        the request's body, while it still comes in
//	/ready       200, and 503 after SIGTERM; counts as no request
//
// A --greeting port sends "hello from POD" before it reads anything, then returns each line it gets.
//
// After SIGTERM it serves for --stop-delay, as a pod should whose address clients still know, then finishes what it has
// begun.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal("app: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	addrs := flags.String("addr", ":8080", "HTTP addresses, separated by commas")
	greeting := flags.String("greeting", "", "addresses that speak first, separated by commas")
	startDelay := flags.Duration("start-delay", 0, "how long nothing listens")
	stopDelay := flags.Duration("stop-delay", 2*time.Second, "how long to serve on after SIGTERM")
	drain := flags.Duration("drain", 20*time.Second, "how long begun requests may take after that")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	select {
	case <-time.After(*startDelay):
	case <-ctx.Done():
		return nil
	}
	pod, err := podName()
	if err != nil {
		return err
	}
	app := &app{pod: pod}
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 10 * time.Second, ConnContext: withConn}
	failed := make(chan error, 1)
	serve := func(addrs string, serve func(net.Listener) error) error {
		for _, addr := range strings.FieldsFunc(addrs, func(r rune) bool { return r == ',' }) {
			listener, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			go func() {
				select {
				case failed <- serve(listener):
				default: // an earlier one ends the program
				}
			}()
		}
		return nil
	}
	serveHTTP := func(l net.Listener) error { return server.Serve(stampedListener{l}) }
	if err := serve(*addrs, serveHTTP); err != nil {
		return err
	}
	if err := serve(*greeting, app.serveGreeting); err != nil {
		return err
	}
	log.Printf("%s serves HTTP on %s, greets on %q", pod, *addrs, *greeting)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	app.stopping.Store(true)
	log.Printf("stopping after %s", *stopDelay)
	time.Sleep(*stopDelay)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), *drain)
	defer cancel()
	return server.Shutdown(ctx)
}

// podName is POD_NAME, or the host name, which is the pod's name unless the pod says otherwise.
func podName() (string, error) {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name, nil
	}
	return os.Hostname()
}
