// Package integration tests, on a real API server without nodes, what people and other controllers meet there: refusals
// and warnings as kubectl prints them, and rights. `make integration` runs it; it is built with the tag integration.
package integration
