package main

import (
	"errors"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"tpa.dev/tpa/proxy/services"
)

// pod is the environment of a proxy pod, but for what is left out.
func pod(leftOut ...string) func(string) string {
	env := map[string]string{"POD_NAMESPACE": "shop", "POD_NAME": "tpa-proxy-x", "POD_UID": "u1"}
	maps.DeleteFunc(env, func(name, _ string) bool { return len(leftOut) > 0 && name == leftOut[0] })
	return func(name string) string { return env[name] }
}

func TestFlagsAreReadAndTheRestIsDefault(t *testing.T) {
	tests := []struct {
		args   []string
		change func(*options)
	}{
		{nil, func(*options) {}},
		{[]string{"--admin-address=127.0.0.1:0"}, func(o *options) { o.adminAddress = "127.0.0.1:0" }},
		{[]string{"--shutdown-delay=0s"}, func(o *options) { o.services.ShutdownDelay = 0 }},
		{[]string{"-drain-timeout", "1h"}, func(o *options) { o.services.DrainTimeout = time.Hour }},
		{[]string{"--linger=90s"}, func(o *options) { o.services.Linger = 90 * time.Second }},
		{[]string{"--max-held=1"}, func(o *options) { o.services.MaxHeld = 1 }},
		{[]string{"--max-connections=7"}, func(o *options) { o.services.MaxConnections = 7 }},
		{[]string{"--log-level=debug"}, func(o *options) { o.logLevel = zapcore.DebugLevel }},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			want := options{
				services: services.Options{
					Namespace: "shop", Pod: "tpa-proxy-x", PodUID: "u1", ShutdownDelay: 15 * time.Second,
					DrainTimeout: 270 * time.Second, Linger: time.Minute, MaxHeld: 10_000, MaxConnections: 1_000_000,
				},
				adminAddress: ":9090", logLevel: zapcore.InfoLevel,
			}
			tt.change(&want)
			got, err := parse(tt.args, pod())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	silence(t)
	for arg, named := range map[string]string{
		"--shutdown-delay=-1s": "--shutdown-delay: -1s", "--drain-timeout=-1ns": "--drain-timeout", "--linger=-1m": "--linger",
		"--max-held=0": "--max-held: 0", "--max-held=-5": "--max-held: -5", "--max-connections=0": "--max-connections: 0", "--max-held=many": "max-held",
		"--shutdown-delay=15": "shutdown-delay", "--log-level=loud": "log-level", "--nonsense": "nonsense", "serve": `"serve"`,
	} {
		if _, err := parse([]string{arg}, pod()); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v, want an error that names %s", arg, err, named)
		}
	}
	if _, err := parse([]string{"--help"}, pod()); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v, want %v", err, flag.ErrHelp)
	}
}

func TestMissingEnvironmentIsNamed(t *testing.T) {
	for _, name := range []string{"POD_NAMESPACE", "POD_NAME", "POD_UID"} {
		if _, err := parse(nil, pod(name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want an error that names it", name, err)
		}
	}
}

// silence keeps what package flag prints on errors out of the test's output.
func silence(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = null
	t.Cleanup(func() { os.Stderr = stderr; _ = null.Close() })
}

func TestReadinessTellsTheReasonUntilItIsReady(t *testing.T) {
	reason := errors.New("service web: port 20001 is not open")
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "tpa_test_total", Help: "A counter."}))
	a := newAdmin("", registry, func() error { return reason }, zap.NewNop())
	server := httptest.NewServer(a.server.Handler)
	defer server.Close()
	check := func(path string, status int, says string) {
		t.Helper()
		response, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != status || !strings.Contains(string(body), says) {
			t.Errorf("GET %s: %d %q, want %d with %q", path, response.StatusCode, body, status, says)
		}
	}
	check("/readyz", http.StatusServiceUnavailable, reason.Error())
	check("/healthz", http.StatusOK, "ok") // a proxy that is not ready must not be restarted
	check("/metrics", http.StatusOK, "tpa_test_total 0")
	check("/elsewhere", http.StatusNotFound, "")
	reason = nil
	check("/readyz", http.StatusOK, "ok")
}

func TestAdminServerEndsWhenItIsClosedAndFailsWhenItCannotListen(t *testing.T) {
	a := newAdmin("127.0.0.1:0", prometheus.NewRegistry(), func() error { return nil }, zap.NewNop())
	done := make(chan error, 1)
	go func() { done <- a.serve() }()
	a.close()
	if err := <-done; err != nil {
		t.Errorf("closed: %v", err)
	}
	bad := newAdmin("127.0.0.1:no-such-port", prometheus.NewRegistry(), func() error { return nil }, zap.NewNop())
	if err := bad.serve(); err == nil || !strings.Contains(err.Error(), "admin server") {
		t.Errorf("%v, want an error of the admin server", err)
	}
}
