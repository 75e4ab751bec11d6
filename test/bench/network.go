package main

import (
	"errors"
	"os/exec"

	"tpa.dev/tpa/test/bench/sandbox"
)

// The names of links.
const (
	// loopback is the one that all share.
	loopback = "loopback"
	// veth is a pair to the client's network and one to the server's, as a node has to each pod: MTU 1500, with the
	// offloads that a pair has. A direct connection is routed from one to the other.
	veth = "veth"
)

// The networks on veth links.
const (
	clientNetwork = "client"
	serverNetwork = "server"

	proxyAddress  = "10.0.1.1"
	serverAddress = "10.0.2.2"
)

// network is a link that is there. Proxies are always in the network that the run began in, where the API server is.
type network struct{ link string }

// connect makes a link.
func connect(link string) (network, error) {
	if link == loopback {
		return network{link}, nil
	}
	return network{link}, errors.Join(
		sandbox.Pair(clientNetwork, proxyAddress, "10.0.1.2"),
		sandbox.Pair(serverNetwork, "10.0.2.1", serverAddress),
		sandbox.Set("net/ipv4/ip_forward"))
}

// addresses are where proxies and the server are reached.
func (n network) addresses() (proxy, server string) {
	if n.link == loopback {
		return "127.0.0.1", "127.0.0.1"
	}
	return proxyAddress, serverAddress
}

// in returns a command that runs in one of the link's networks.
func (n network) in(network, name string, args ...string) *exec.Cmd {
	if n.link == loopback {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", network, name}, args...)...)
}

// disconnect removes the link. Nothing may run in its networks any more.
func (n network) disconnect() error {
	if n.link == loopback {
		return nil
	}
	var errs []error
	for _, network := range []string{clientNetwork, serverNetwork} { // a network's own end takes its links along, but later
		errs = append(errs, sandbox.Command("ip", "link", "delete", network), sandbox.Command("ip", "netns", "delete", network))
	}
	return errors.Join(errs...)
}
