// Package relay moves bytes between two established TCP connections until both directions have ended.
//
//	var act relay.Activity // usually one per Service
//	result := relay.Relay(client, backend, &act)
//
// What one peer does to its connection the other peer sees: a half-close arrives as a half-close, a reset as a reset,
// and what was sent before either arrives first.
//
// On Linux a connection that has nothing to move holds two descriptors and no buffer. A small exchange goes through a
// pooled buffer; a sustained flow is spliced by the kernel through one of a few large pipes that all connections share.
//
// The package does not dial, does not accept, and has no time-outs: an idle connection is a legitimate one. Whoever
// wants an end to it calls Abort.
package relay
