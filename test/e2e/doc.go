// Package e2e tests TPA as it is deployed on a real cluster: with clients that call from another node, processes that
// are killed, and the objects that people write. `make e2e` runs it; it is built with the tag e2e.
//
// A test sees what happened by a watch, never by looking at a moment that it guesses, and clients count every request.
package e2e
