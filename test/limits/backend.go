package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/test/bench/load"
)

// The ports of pods.
const (
	echoPort   = 7007 // sends back what it receives
	deadPort   = 7008 // nobody listens
	fullPort   = 7009 // accepts nothing and has a full listen queue, so that the kernel drops what connects
	slowPort   = 7010 // sends back what it receives, slowness later
	streamPort = 7011 // sends for as long as it is taken
)

// slowness is how late a slow backend answers.
const slowness = 2 * time.Second

// serveBackends is the backends' role. It says when all listen.
func serveBackends() error {
	server, err := load.Listen(echoPort, streamPort)
	if err != nil {
		return err
	}
	slow, err := net.Listen("tcp4", fmt.Sprintf(":%d", slowPort))
	if err != nil {
		return err
	}
	go serveSlowly(slow)
	if err := listenFull(); err != nil {
		return fmt.Errorf("a backend that accepts nothing: %w", err)
	}
	fmt.Println("listening")
	return server.Serve()
}

func serveSlowly(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			message := make([]byte, messageSize)
			if _, err := io.ReadFull(c, message); err != nil {
				return
			}
			time.Sleep(slowness) // this is what it is for
			_, _ = c.Write(message)
			_, _ = io.Copy(io.Discard, c)
		}()
	}
}

// listenFull opens a port whose queue is full from the start: it has room for one, which is taken.
func listenFull() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: fullPort}), unix.Listen(fd, 0)); err != nil {
		return err
	}
	taken, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Connect(taken, &unix.SockaddrInet4{Port: fullPort, Addr: [4]byte{127, 0, 0, 1}})
}
