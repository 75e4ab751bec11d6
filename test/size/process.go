package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/cert"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/webhook/admission"
)

// process is a program that serves admission and metrics on loopback.
type process struct {
	program, dir, log string
	port              int // of admission
	metrics, probes   string
	cmd               *exec.Cmd
	ended             chan struct{}
}

// newProcess finds addresses for a program.
func newProcess(dir, program string) (*process, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	return &process{
		program: program, dir: dir, port: ports[0], log: filepath.Join(dir, filepath.Base(program)+".log"),
		metrics: fmt.Sprintf("127.0.0.1:%d", ports[1]), probes: fmt.Sprintf("127.0.0.1:%d", ports[2]),
	}, nil
}

// start runs the program, for the first time or again, with its addresses as the webhook's flags.
func (p *process) start(ctx context.Context, args ...string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(ctx, p.program, append([]string{
		"--cert-dir=" + p.dir, "--webhook-port=" + strconv.Itoa(p.port),
		"--metrics-bind-address=" + p.metrics, "--health-probe-bind-address=" + p.probes,
	}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go reap(p.cmd, p.ended)
	return nil
}

func reap(cmd *exec.Cmd, ended chan<- struct{}) {
	_ = cmd.Wait() // that it is gone is what counts
	close(ended)
}

// ready waits until it answers admission.
func (p *process) ready(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.ended:
			return false, errors.New("it ended")
		default:
		}
		_, err := kit.Get(ctx, "http://"+p.probes+"/readyz")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	return nil
}

// end sends a signal and waits until the process is gone.
func (p *process) end(signal os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.program, err)
	}
	<-p.ended
	return nil
}

// memory is how many MiB are resident, and the most that ever were.
func (p *process) memory() (now, peak float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			now = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// url is where a program serves admission.
func (p *process) url() string { return fmt.Sprintf("https://127.0.0.1:%d%s", p.port, admission.Path) }

// certificate puts a certificate for 127.0.0.1 where the programs look, and returns it.
func certificate(dir string) ([]byte, error) {
	crt, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return crt, errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), crt, 0o600), os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600))
}

// freePorts returns ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
