package meter

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCPUIsWhatTheSystemSays(t *testing.T) {
	pid := os.Getpid()
	before, err := CPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	var first, second unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &first); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	if err := unix.Getrusage(unix.RUSAGE_SELF, &second); err != nil {
		t.Fatal(err)
	}
	after, err := CPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	used := time.Duration(second.Utime.Nano() + second.Stime.Nano() - first.Utime.Nano() - first.Stime.Nano())
	if got := after - before; got < used || got > used+used/2+10*time.Millisecond {
		t.Errorf("%s by the clock of the process, %s by getrusage in between", got, used)
	}
	if sum, err := CPU(pid, pid); err != nil || sum < 2*after {
		t.Errorf("twice the same process: %s, %v; once: %s", sum, err, after)
	}
}

func TestMemoryGrows(t *testing.T) {
	before, err := Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	pages, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(pages) }()
	after, err := Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < size*3/4 || grown > 2*size {
		t.Errorf("grown by %d bytes, of which %d are known", grown, size)
	}
}

func TestDescriptors(t *testing.T) {
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	after, err := Descriptors(os.Getpid())
	if err != nil || after != before+2 {
		t.Errorf("%d descriptors with a pipe more than %d, %v", after, before, err)
	}
}

func TestNoSuchProcess(t *testing.T) {
	const nobody = 1 << 22 // one more than the kernel ever gives
	if _, err := CPU(nobody); err == nil {
		t.Error("CPU: no error")
	}
	if _, err := Memory(nobody); err == nil {
		t.Error("memory: no error")
	}
	if _, err := Descriptors(nobody); err == nil {
		t.Error("descriptors: no error")
	}
}
