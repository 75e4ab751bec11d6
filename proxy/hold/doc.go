// Package hold bounds and watches connections that wait for their target to wake.
//
//	if !budget.Acquire() {
//		return errFull // refuse at once: waiting for a place to wait helps nobody
//	}
//	defer budget.Release()
//	stop := hold.Watch(conn, cancel) // cancel runs if the client goes away
//	defer stop()
//	err := wake(ctx)
//
// A held connection costs the goroutine that waits, and no buffer: what the client has sent stays in the kernel.
//
// A client has gone if its connection is reset, or if it has closed its side without ever having sent a byte. One that
// has sent something and closed its side has made a request and waits for the answer.
//
// The package neither wakes nor dials, and never reads from a connection.
package hold
