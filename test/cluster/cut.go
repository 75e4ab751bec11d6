package main

import "fmt"

// cut takes a node's cable out: nothing gets to the other nodes, or from them, until join. Everything on it runs on.
func (c *cluster) cut(args []string) error { return c.cable("cut", args, "down") }

// join plugs the cable back in.
func (c *cluster) join(args []string) error { return c.cable("join", args, "up") }

// cable sets the end of a node's cable that is in node 1's bridge. At the node itself that is a link without a carrier:
// its own end, set down, would lose its routes for good.
func (c *cluster) cable(command string, args []string, to string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: say `cluster %s NODE`", command, command)
	}
	s, err := c.runningState()
	if err != nil {
		return err
	}
	for n := 2; n <= s.Nodes; n++ {
		if args[0] == nodeName(n) {
			return inNetns(nodeNetns(1), func() error { return ip(fmt.Sprintf("link set %s %s", nodePort(n), to)) })
		}
	}
	return fmt.Errorf("%s: no node %q with a cable; %s has the bridge that the others, up to %s, are plugged into",
		command, args[0], nodeName(1), nodeName(s.Nodes))
}

// nodePort is the end of node n's cable that is in node 1's bridge.
func nodePort(n int) string { return "tpa-" + nodeName(n) }
