// Package integration tests TPA's webhook and controller, as they are, on a real API server without nodes: what people
// and other controllers meet there, what they and the parts of TPA may do, and what becomes of the objects. Who else acts
// on objects in a cluster is played. `make integration` runs it; it is built with the tag integration.
package integration
