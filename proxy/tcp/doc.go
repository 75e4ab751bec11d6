// Package tcp has TCP connections that are a descriptor and nothing else, and the loops that wait for them.
//
//	loops, err := tcp.Start(2)
//	defer loops.Close()
//	l, err := tcp.Listen(20001, loops)
//	client, err := l.Accept() // ErrNone: l.Notify tells when to ask again
//	...
//	backend, err := tcp.Dial(ctx, client.Loop(), addr, 3*time.Second)
//
// A connection of package net costs a goroutine and its stack for each direction that waits, and a poller shared with
// everything else in the process wakes it. Here one goroutine a loop waits for all connections at once (epoll), so that
// an idle one costs its two descriptors and a few hundred bytes, and a message costs three system calls: wait, read,
// write. Where the system has no epoll, a Conn is one of package net.
//
// A Conn has one owner at a time: its methods may not be called at once by many.
package tcp
