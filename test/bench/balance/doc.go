// Package balance tells how evenly a proxy spreads connections over backends of which one is slow.
//
//	backends, err := balance.Listen(addresses, delays)
//	defer backends.Close()
//	result, err := balance.Measure(ctx, proxy, backends, 5*time.Second)
//
// The number of connections is constant, and each carries one request: a proxy that counts what is open sends the slow
// backend as much as keeps it as loaded as the others. The load is what the backends themselves see, from accepting a
// connection to its end.
package balance
