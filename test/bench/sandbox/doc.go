// Package sandbox is where benchmarks and tests run that take over a network: namespaces of their own (network, processes,
// mounts), with files and memory cgroups that go with them.
//
//	err := sandbox.Run(ctx, sandbox.Inside, "--flag") // starts this program again, in there
//	...
//	err := sandbox.Furnish(0)
//	err = sandbox.Pair("client", "10.0.1.1", "10.0.1.2")
//	p, err := sandbox.Start(exec.Command("ip", "netns", "exec", "client", "curl"), logFile, nil)
//
// It needs root and iproute2.
package sandbox
