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
)

// The server's ports.
const (
	echoPort = 7007
	bulkPort = 7019
)

// firstUser runs TPA's proxy, as in a cluster. Every other arm is another user without rights: the kernel keeps the pages
// in pipes by user, and no arm may take them from another.
const firstUser = 65532

// arm is one way from the client to the server.
type arm struct {
	name string
	// echo and bulk are where the client connects to.
	echo, bulk string
	*process         // nil if the connection is direct
	proxy      []int // the processes
}

// place is where an arm's proxy listens and connects to.
type place struct {
	Echo, Bulk             int // ports that it listens on
	ServerEcho, ServerBulk string
	Threads                int
	Folder                 string // for its files
	user                   uint32
}

// newPlace numbers the places of a setting. TPA's ports are in the range of its own.
func (s *setting) newPlace(name string) (place, error) {
	i := s.places
	s.places++
	echo := 20000 + 2*i
	p := place{
		Echo: echo, Bulk: echo + 1, ServerEcho: address(s.server, echoPort), ServerBulk: address(s.server, bulkPort),
		Threads: len(s.cpus), Folder: filepath.Join(s.folder, name), user: firstUser + uint32(i),
	}
	return p, errors.Join(os.Mkdir(p.Folder, 0o755), os.Chown(p.Folder, int(p.user), int(p.user)))
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// startArm starts a proxy, and waits until it answers.
func (s *setting) startArm(name string, p place, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.user, Gid: p.user}}
	a := &arm{name: name, echo: address(s.proxy, p.Echo), bulk: address(s.proxy, p.Bulk)}
	var err error
	if a.process, err = start(cmd, filepath.Join(p.Folder, "log"), s.cpus); err != nil {
		return err
	}
	s.arms = append(s.arms, a)
	if err := a.answers(); err != nil {
		return err
	}
	a.proxy, err = a.pids()
	return err
}

// answers waits until a message comes back.
func (a *arm) answers() error {
	var err error
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		if err = load.Probe(a.echo); err == nil {
			return nil
		}
		select {
		case <-a.ended:
			return fmt.Errorf("%s has ended: %s", a.name, a.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer: %w: %s", a.name, err, a.tail())
}
