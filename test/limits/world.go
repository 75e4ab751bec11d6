package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/sandbox"
	"tpa.dev/tpa/test/kit"
)

// The networks. The API server and the backends are in the one that the run began in, which routes between all others: one
// for clients, and one for each proxy, as pods have.
const (
	clientNetwork = "client"
	clientLink    = clientNetwork // its end here
	podAddress    = "10.1.0.1"    // of all pods behind Services
)

// world is all that runs but proxies.
type world struct {
	api    *apiserver.Server
	audit  *apiserver.Audit
	folder string
	self   string
	places int // that proxies were given
}

// newWorld starts an API server that notes the requests of some namespaces' proxies, and the backends.
func newWorld(ctx context.Context, namespaces ...string) (*world, error) {
	w := &world{folder: sandbox.Folder()}
	var users []string
	for _, namespace := range namespaces {
		users = append(users, proxyUser(namespace))
	}
	var err error
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.audit, err = apiserver.NewAudit(w.folder, users...); err != nil {
		return nil, err
	}
	err = errors.Join(
		sandbox.Set("net/ipv4/ip_forward"),
		sandbox.Command("ip", "address", "add", podAddress+"/32", "dev", "lo"),
		sandbox.Pair(clientNetwork, "10.0.1.1", "10.0.1.2"),
		os.WriteFile("/proc/sys/net/ipv4/tcp_max_syn_backlog", []byte("16384"), 0))
	if err != nil {
		return nil, err
	}
	say("start an API server")
	args := w.audit.ServerArgs()
	args["advertise-address"] = "127.0.0.1" // it finds no other where there are no routes
	if w.api, err = apiserver.Start(ctx, apiserver.Options{NoAdmission: true, ServerArgs: args}); err != nil {
		return nil, err
	}
	return w, w.startBackends()
}

func (w *world) startBackends() error {
	cmd := exec.Command(w.self, backendRole)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p, err := sandbox.Start(cmd, filepath.Join(w.folder, "backends.log"), nil)
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the backends do not listen: %w: %s", err, p.Tail())
	}
	return nil
}

// newNetwork makes the network of a proxy, in which the API server answers where it does here.
func (w *world) newNetwork() (name, address string, err error) {
	n := 10 + w.places
	w.places++
	name, address = fmt.Sprintf("proxy-%d", n), fmt.Sprintf("10.0.%d.2", n)
	if err := sandbox.Pair(name, fmt.Sprintf("10.0.%d.1", n), address); err != nil {
		return "", "", err
	}
	if err := sandbox.Command("ip", "-n", name, "link", "set", "lo", "up"); err != nil {
		return "", "", err
	}
	server, err := url.Parse(w.api.Config.Host)
	if err != nil {
		return "", "", err
	}
	api := server.Host
	if api == "" {
		api = w.api.Config.Host
	}
	err = kit.InNetns("/run/netns/"+name, func() error {
		l, err := net.Listen("tcp", api)
		if err == nil {
			go forward(l, api)
		}
		return err
	})
	return name, address, err
}

// forward passes connections on, from the network that they were accepted in to this one.
func forward(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			conn, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer conn.Close()
			go func() { _, _ = io.Copy(conn, from); _ = conn.Close() }()
			_, _ = io.Copy(from, conn)
		}()
	}
}

// crowd is client processes, as each may have only so many descriptors.
type crowd struct{ clients []*remote }

// remote is a client process.
type remote struct {
	*sandbox.Process
	jobs    *json.Encoder
	tallies *json.Decoder
}

func (w *world) newCrowd(name string, clients int) (*crowd, error) {
	c := &crowd{}
	for i := range clients {
		r := &remote{}
		cmd := exec.Command(w.self, clientRole)
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		r.jobs, r.tallies = json.NewEncoder(in), json.NewDecoder(out)
		err := kit.InNetns("/run/netns/"+clientNetwork, func() (err error) {
			r.Process, err = sandbox.Start(cmd, filepath.Join(w.folder, fmt.Sprintf("%s-%d.log", name, i)), nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		c.clients = append(c.clients, r)
	}
	return c, nil
}

// do has all clients do a job at once, of which each gets its part, and adds their tallies up.
func (c *crowd) do(j job) (tally, error) {
	var (
		mu   sync.Mutex
		sum  tally
		errs []error
		all  sync.WaitGroup
	)
	for i, r := range c.clients {
		part := j
		part.Conns = share(j.Conns, len(c.clients), i)
		part.AtOnce = max(1, share(j.AtOnce, len(c.clients), i))
		if part.Count = share(j.Count, len(c.clients), i); j.Count > 0 && part.Count == 0 || j.Op == "open" && part.Conns == 0 {
			continue
		}
		all.Go(func() {
			var t tally
			err := errors.Join(r.jobs.Encode(part), r.tallies.Decode(&t))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("a client ended: %w: %s", err, r.Tail()))
			case t.Error != "":
				errs = append(errs, errors.New(t.Error))
			}
			sum.add(t)
		})
	}
	all.Wait()
	return sum, errors.Join(errs...)
}

// share is the ith of n parts of a number.
func share(of, n, i int) int { return of*(i+1)/n - of*i/n }

func (t *tally) add(o tally) {
	t.Open, t.Waiting = t.Open+o.Open, t.Waiting+o.Waiting
	t.Answered, t.Wrong = t.Answered+o.Answered, t.Wrong+o.Wrong
	t.Refused, t.Failed, t.Left = t.Refused+o.Refused, t.Failed+o.Failed, t.Left+o.Left
	t.RefusedAfter = append(t.RefusedAfter, o.RefusedAfter...)
	if o.Why != "" {
		t.Why = o.Why
	}
	for i, took := range o.Took {
		if i == len(t.Took) {
			t.Took = append(t.Took, nil)
		}
		t.Took[i] = append(t.Took[i], took...)
	}
}

// sub is what has come since an earlier tally.
func (t tally) sub(o tally) tally {
	t.Answered, t.Wrong = t.Answered-o.Answered, t.Wrong-o.Wrong
	t.Refused, t.Failed, t.Left = t.Refused-o.Refused, t.Failed-o.Failed, t.Left-o.Left
	return t
}

func (t tally) String() string {
	s := fmt.Sprintf("%d open, %d waiting, %d answered, %d wrong, %d refused, %d failed, %d left",
		t.Open, t.Waiting, t.Answered, t.Wrong, t.Refused, t.Failed, t.Left)
	return strings.TrimSuffix(s+", the last: "+t.Why, ", the last: ")
}
