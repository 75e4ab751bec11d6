// Package load is the two ends of the connections that a proxy is measured with: a server, and a client that works off
// jobs and tells what they cost. Each is a process of its own, so that its CPU time can be told from the proxy's.
//
// Both call the system directly, on one thread: between the two of them the proxy's share of a round trip is to stand
// out, and the runtime's poller would add wake-ups that differ from run to run.
//
// Every byte that comes back is counted, and looked at as far as that does not cost more than the relaying: messages as a
// whole, a stream at both ends of each read. A wrong one fails the job.
package load
