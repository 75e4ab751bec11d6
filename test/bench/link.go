package main

import (
	"errors"
	"os/exec"
	"strings"
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
)

// link is what connects client, proxy and server. Proxies are always in the network that the run began in, where the API
// server is.
type link struct {
	name string
	// proxy and server are where those are reached.
	proxy, server string
}

// connect makes a link.
func connect(name string) (link, error) {
	if name == loopback {
		return link{name, "127.0.0.1", "127.0.0.1"}, nil
	}
	return link{name, "10.0.1.1", "10.0.2.2"}, errors.Join(
		pair(clientNetwork, "10.0.1.1", "10.0.1.2"),
		pair(serverNetwork, "10.0.2.1", "10.0.2.2"),
		set("net/ipv4/ip_forward"))
}

// pair makes a network with a link to this one, and with nothing else.
func pair(network, here, there string) error {
	if err := command("ip", "netns", "add", network); err != nil {
		return err
	}
	for _, args := range []string{
		"link add " + network + " type veth peer name eth0 netns " + network,
		"address add " + here + "/24 dev " + network,
		"link set " + network + " up",
		"-n " + network + " address add " + there + "/24 dev eth0",
		"-n " + network + " link set eth0 up",
		"-n " + network + " route add default via " + here,
		"netns exec " + network + " sysctl -qw net.ipv4.tcp_tw_reuse=1",
	} {
		if err := command("ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return nil
}

// in returns a command that runs in one of the link's networks.
func (l link) in(network, name string, args ...string) *exec.Cmd {
	if l.name == loopback {
		return exec.Command(name, args...)
	}
	return exec.Command("ip", append([]string{"netns", "exec", network, name}, args...)...)
}

// disconnect removes the link. Nothing may run in its networks any more.
func (l link) disconnect() error {
	if l.name == loopback {
		return nil
	}
	var errs []error
	for _, network := range []string{clientNetwork, serverNetwork} { // a network's own end takes its links along, but later
		errs = append(errs, command("ip", "link", "delete", network), command("ip", "netns", "delete", network))
	}
	return errors.Join(errs...)
}
