package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// messageSize is the size of what a client sends and must get back.
const messageSize = 64

// The ways in which clients behave.
const (
	ask     = "ask"     // sends a message and waits until it comes back; then stays
	trickle = "trickle" // sends a byte a second, and never more
	deaf    = "deaf"    // never reads
)

// job is an order to a client, as a line of JSON. The client answers each with a tally.
type job struct {
	Op string // open, await, tally, close or probe
	// Of open: Conns connections, in turn to the Addresses, AtOnce at a time, that behave in a way. It is done when each
	// has been connected, or has failed.
	Addresses     []string
	Conns, AtOnce int
	Way           string
	// Of await: until nobody waits for an answer any more, or for so long.
	Within time.Duration
	// Of close: how many of those that are open, those that wait for an answer first; all if it is 0.
	Count int
	// Of probe: every so often, for so long, one connection is made to each of the Addresses, asks and is closed.
	Every, For time.Duration
}

// tally is what has become of a client's connections since it began.
type tally struct {
	Error string `json:",omitempty"`
	// Open are all that are, Waiting those of them that wait for an answer.
	Open, Waiting int
	// Answered got back what they sent, Wrong something else. Refused were reset before they got anything, Failed ended in
	// another way. Left were closed while they waited.
	Answered, Wrong, Refused, Failed, Left int
	// Why is what the last of Failed met.
	Why string `json:",omitempty"`
	// RefusedAfter are the times of Refused, from the start of the connect on.
	RefusedAfter []time.Duration `json:",omitempty"`
	// Took are the times of a probe's connections that were answered, by address.
	Took [][]time.Duration `json:",omitempty"`
}

// work is the client's role: it does the jobs that come in, one after the other, until there are no more.
func work(in io.Reader, out io.Writer) error {
	jobs, tallies := json.NewDecoder(in), json.NewEncoder(out)
	c := newVisitors()
	for {
		var j job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a job: %w", err)
		}
		t := c.do(j)
		if err := tallies.Encode(t); err != nil {
			return fmt.Errorf("write a tally: %w", err)
		}
	}
}
