// Package front serves one managed Service: it accepts connections on the Service's ports, holds them until the target
// is awake, connects each to a backend and relays.
//
//	s := front.New(front.Config{Name: "shop/web", Target: target, Loops: loops, Budget: budget, OnError: report})
//	s.SetSettings(front.Settings{WakeTimeout: time.Minute})
//	s.SetBackends(20001, addrs) // again whenever they change
//	err := s.SetPorts([]front.Port{{Listen: 20001}})
//	...
//	s.CloseListeners()
//	err = s.Drain(ctx)
//
// The path of a connection: accept (package listen), claim the target and hold (package hold), pick a backend and
// connect (package backend), relay (package relay). A client that cannot be served gets a reset, never a plain close,
// which some protocols take for an answer.
//
// The package knows nothing of Kubernetes: the target's state is behind the Target interface, and addresses are given
// to it. It logs nothing; there are Stats and hooks.
package front
