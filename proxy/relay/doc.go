// Package relay moves bytes between two established TCP connections until both directions have ended.
//
//	var act relay.Activity // usually one per Service
//	s := relay.Start(client, backend, &act, func(r relay.Result) { report(r) })
//	...
//	s.Abort() // only to end it before the peers do
//
// What one peer does to its connection the other peer sees: a half-close arrives as a half-close, a reset as a reset,
// and what was sent before either arrives first.
//
// On Linux a session is two descriptors and a few hundred bytes while there is nothing to move: no goroutine waits for
// it, the loop of its connections (package tcp) calls it. A small exchange goes through a pooled buffer, in one turn. A
// sustained flow is spliced by the kernel through one of a few large pipes, which all sessions share, a slice at a time
// and after everybody else's small exchanges; if no pipe is free, through a large buffer. Who waits for a slow reader
// keeps what it has read until then, and reads no more. Elsewhere two goroutines copy.
//
// The package does not dial, does not accept, and has no time-outs: an idle connection is a legitimate one. Whoever
// wants an end to it calls Abort. Whoever must be asked before more is moved parks it: see Owner.
package relay
