//go:build !portable

package relay

import (
	"bufio"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// traced is a relay process whose system calls are written down.
type traced struct {
	*process
	file string
}

func startTraced(t *testing.T, backend netip.AddrPort) *traced {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	return &traced{
		process: startProcess(t, backend, "", "strace", "-f", "-qq", "-e", "signal=none", "-y", "-e", "trace=%desc,%network", "-o", file),
		file:    file,
	}
}

// goPoller is the name of epoll_pwait where it is Go's own poller that waits.
const goPoller = "Go's poller"

// calls are system calls by name.
type calls map[string]*tally

// tally is what is known of all calls of one name.
type tally struct {
	count int
	moved int64        // the sum of what they returned: bytes, where that is what they return
	on    map[int]bool // which descriptors they were about
}

// between ends the process and returns the calls on sockets, pipes and epoll instances that it began after it had said one
// word and before it said the other.
func (tr *traced) between(t *testing.T, from, to string) calls {
	t.Helper()
	tr.end(t)
	f, err := os.Open(tr.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	result := calls{}
	loop := -1
	counts := false
	begun := map[string]*tally{} // by thread: calls that have not returned yet
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		l, ok := parseTrace(lines.Text())
		if l.name == "epoll_ctl" && strings.Contains(l.rest, "EPOLLPRI") { // which Go's poller does not ask for
			loop = l.fd
		}
		switch {
		case !ok: // the end of a thread
		case l.resumed:
			begun[l.thread].add(l.returned)
			delete(begun, l.thread)
		case l.name == "write" && l.fd == unix.Stdout:
			counts = (counts || strings.Contains(l.rest, `"`+from+`\n"`)) && !strings.Contains(l.rest, `"`+to+`\n"`)
		case l.fd >= 0 && l.fd <= unix.Stderr:
		case counts && l.ofDataPath():
			if l.name == "epoll_pwait" && l.fd != loop {
				l.name = goPoller
			}
			n := result.of(l.name)
			n.count++
			n.on[l.fd] = true
			if strings.Contains(l.rest, "<unfinished ...>") {
				begun[l.thread] = n
			} else {
				n.add(l.returned)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return result
}

func (n *tally) add(returned int64) {
	if n != nil {
		n.moved += max(returned, 0)
	}
}

func (c calls) of(name string) *tally {
	if c[name] == nil {
		c[name] = &tally{on: map[int]bool{}}
	}
	return c[name]
}

// per is a table of how many calls there are to n of something.
func (c calls) per(n int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "\n%12s %7.2f", name, float64(c[name].count)/float64(n))
	}
	return b.String()
}

// traceLine is a call, or the second half of one that another thread's calls have come into.
type traceLine struct {
	thread, name, rest string
	resumed            bool
	fd                 int    // the first argument; -1 if that is no descriptor
	kind               string // what that is
	returned           int64
}

var (
	traceFormat = regexp.MustCompile(`^(\d+) +(<\.\.\. )?(\w+)(?:\(| resumed>)(.*?)(?:= (-?\w+).*)?$`)
	descriptor  = regexp.MustCompile(`^(\d+)<([^>]*)>`)
)

func parseTrace(line string) (l traceLine, ok bool) {
	m := traceFormat.FindStringSubmatch(line)
	if m == nil {
		return traceLine{}, false
	}
	l = traceLine{thread: m[1], resumed: m[2] != "", name: m[3], rest: m[4], fd: -1}
	l.returned, _ = strconv.ParseInt(m[5], 0, 64)
	if fd := descriptor.FindStringSubmatch(l.rest); fd != nil {
		l.fd, _ = strconv.Atoi(fd[1])
		l.kind = fd[2]
	}
	return l, true
}

// ofDataPath tells calls that move or wait for connections from the runtime's own, on files and for memory.
func (l traceLine) ofDataPath() bool {
	for _, kind := range []string{"socket:", "pipe:", "anon_inode:[eventpoll]"} {
		if strings.HasPrefix(l.kind, kind) {
			return true
		}
	}
	return slices.Contains([]string{"socket", "pipe2", "poll", "ppoll"}, l.name)
}
