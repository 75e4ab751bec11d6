// Package backend connects to one of a changing set of addresses.
//
//	var pool backend.Pool
//	pool.Set(addrs) // from whoever watches the workload
//	conn, err := pool.Dial(ctx, client.Loop(), client.Remote())
//	if err != nil {
//		return err
//	}
//	...
//	conn.Close()
//	conn.Release()
//
// Dial prefers the backend with the fewest connections or, with affinity, the one that the client's address hashes to. It
// waits while there is none, moves on to others when one refuses, and lets only so many connects run at once towards
// each, so that a thousand connections released together do not overflow a listen queue.
//
// The package does not watch anything, does not check health and knows nothing of what is sent.
package backend
