package kit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Node is a node, as a place to call from.
type Node struct {
	Name, IP string
	// Source is the address to call from. Default: whichever the way to the other end begins with.
	Source string
	// Control, if set, is called with each socket before it connects, see net.Dialer.
	Control func(network, address string, socket syscall.RawConn) error
}

// netns is where the node's network can be entered.
func (n Node) netns() string {
	name := "tpa-" + n.Name
	if cluster := os.Getenv("TPA_CLUSTER"); cluster != "" { // see `bin/cluster help`
		name = "tpa-" + cluster + "-" + n.Name
	}
	return filepath.Join("/run/netns", name)
}

// Dial connects from inside the node. The address must be numeric.
func (n Node) Dial(ctx context.Context, address string) (net.Conn, error) {
	var conn net.Conn
	dialer := net.Dialer{Control: n.Control}
	if n.Source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(n.Source)}
	}
	err := InNetns(n.netns(), func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// Output is what a command wrote.
type Output struct{ Stdout, Stderr string }

// Run runs a command inside the node and waits for it. The error of a failed one holds what it wrote.
func (n Node) Run(ctx context.Context, stdin, name string, args ...string) (Output, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := InNetns(n.netns(), cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	out := Output{stdout.String(), stderr.String()}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(out.Stderr+out.Stdout))
	}
	return out, err
}

// Follow runs a command inside the node until ctx ends, and gives each line that it writes to take.
func (n Node) Follow(ctx context.Context, take func(line string), name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := InNetns(n.netns(), cmd.Start); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			take(lines.Text())
		}
		_ = cmd.Wait() // it was killed
	}()
	return nil
}

// Kubectl runs kubectl as the administrator.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (Output, error) {
	return c.Nodes[0].Run(ctx, stdin, "kubectl", args...)
}

// Harness runs a command of test/cluster, such as stop kube-apiserver or cut node2.
func (c *Cluster) Harness(ctx context.Context, args ...string) (Output, error) {
	program := os.Getenv("TPA_CLUSTER_PROGRAM")
	if program == "" {
		return Output{}, errors.New("TPA_CLUSTER_PROGRAM is not set: start this with bin/cluster exec node1 -- COMMAND")
	}
	return c.Nodes[0].Run(ctx, "", program, args...)
}
