package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/meter"
	"tpa.dev/tpa/test/bench/sandbox"
)

// The server's ports.
const (
	echoPort = 7007
	bulkPort = 7019
)

// firstUser runs TPA's proxy, as in a cluster. Every other arm is another user without rights: the kernel counts the pages
// in pipes by user, and no arm may take them from another.
const firstUser = 65532

// arm is one way from the client to the server.
type arm struct {
	name string
	// echo and bulk are where the client connects to.
	echo, bulk string

	// Of a proxy; nil and empty if the connection is direct.
	*sandbox.Process
	proxy []int // the processes
	group meter.Group
}

// place is where a proxy listens and connects to.
type place struct {
	Echo, Bulk, Admin      int // ports that it listens on
	ServerEcho, ServerBulk string
	echoTarget             int // the port of ServerEcho
	Threads                int
	Folder                 string // for its files
	user                   uint32
}

// newPlace makes one that is no other's. Ports are in the range of TPA's own.
func (s *setting) newPlace(name string) (place, error) {
	i := s.places
	s.places++
	echo := 20000 + 3*i
	p := place{
		Echo: echo, Bulk: echo + 1, Admin: echo + 2, echoTarget: echoPort,
		ServerEcho: address(s.server, echoPort), ServerBulk: address(s.server, bulkPort),
		Threads: len(s.cpus), Folder: filepath.Join(s.folder, name), user: firstUser + uint32(i),
	}
	return p, errors.Join(os.Mkdir(p.Folder, 0o755), os.Chown(p.Folder, int(p.user), int(p.user)))
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// launch starts a proxy.
func (s *setting) launch(name string, p place, cmd *exec.Cmd) (*arm, error) {
	a := &arm{name: name, echo: address(s.proxy, p.Echo), bulk: address(s.proxy, p.Bulk)}
	var err error
	if a.group, err = meter.NewGroup(s.groups, s.name+"-"+name); err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.user, Gid: p.user}}
	if a.Process, err = sandbox.Start(cmd, filepath.Join(p.Folder, "log"), s.cpus); err != nil {
		return nil, err
	}
	if err := a.group.Add(a.PID()); err != nil {
		a.Stop()
		return nil, err
	}
	return a, nil
}

// startArm starts a proxy that takes part in all rounds, and waits until it answers.
func (s *setting) startArm(name string, p place, cmd *exec.Cmd) error {
	a, err := s.launch(name, p, cmd)
	if err != nil {
		return err
	}
	s.arms = append(s.arms, a)
	if err := a.answers(); err != nil {
		return err
	}
	if a.proxy, err = a.PIDs(); err != nil {
		return err
	}
	for _, pid := range a.proxy {
		if err := a.group.Add(pid); err != nil { // children that were there before
			return err
		}
	}
	return nil
}

// answers waits until a message comes back.
func (a *arm) answers() error {
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; {
		if err = load.Probe(a.echo); err == nil {
			return nil
		}
		select {
		case <-a.Ended:
			return fmt.Errorf("%s has ended: %s", a.name, a.Tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer: %w: %s", a.name, err, a.Tail())
}
