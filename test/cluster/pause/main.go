// Command pause holds a pod's namespaces open: it waits to be told to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	// As init of a shared pid namespace it must reap; the kernel does so if it says
	// that it does not care.
	signal.Ignore(syscall.SIGCHLD)
	<-end
}
