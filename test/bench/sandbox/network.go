package sandbox

import "strings"

// Pair makes a network with a link to this one, and with nothing else.
func Pair(network, here, there string) error {
	if err := Command("ip", "netns", "add", network); err != nil {
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
		if err := Command("ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return nil
}
