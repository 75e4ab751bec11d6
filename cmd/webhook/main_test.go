package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tpa.dev/tpa/webhook/uninstall"
)

func TestParse(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	for name, tt := range map[string]struct {
		args []string
		self string
		err  string
	}{
		"defaults":      {[]string{"--namespace=tpa-system"}, "system:serviceaccount:tpa-system:tpa-webhook", ""},
		"last one wins": {[]string{"--namespace=a", "--service-account=x", "--namespace=b"}, "system:serviceaccount:b:x", ""},
		"no namespace":  {nil, "", "--namespace or $POD_NAMESPACE is needed"},
		"an argument":   {[]string{"--namespace=a", "serve"}, "", `unknown argument "serve"`},
		"a flag":        {[]string{"--namspace=a"}, "", "flag provided but not defined: -namspace"},
		"status page":   {[]string{"--namespace=a", "--status-bind-address=127.0.0.1:8082"}, "system:serviceaccount:a:tpa-webhook", ""},
		"for everybody": {[]string{"--namespace=a", "--status-bind-address=:8082"}, "", "--status-bind-address: \":8082\" is not accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parse(tt.args)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || o.self() != tt.self || o.controller.Namespace != o.namespace {
				t.Errorf("self %s, controller in %q, %v", o.self(), o.controller.Namespace, err)
			}
		})
	}
}

func TestNamespaceOfThePod(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "tpa-system")
	o, err := parse(nil)
	if err != nil || o.namespace != "tpa-system" {
		t.Errorf("namespace %q, %v", o.namespace, err)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"uninstall", "--help"}} {
		if err := run(t.Context(), args); err != nil {
			t.Error(err)
		}
	}
}

func TestParseUninstall(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	own := uninstall.Options{
		Namespace: "tpa-system", ServiceAccount: "tpa-webhook", WebhookConfiguration: "tpa", Wait: 10 * time.Minute,
	}
	short := own
	short.Wait, short.WebhookConfiguration = 0, ""
	for name, tt := range map[string]struct {
		args []string
		want uninstall.Options
		err  string
	}{
		"defaults":     {[]string{"--namespace=tpa-system"}, own, ""},
		"one look":     {[]string{"--namespace=tpa-system", "--wait=0s", "--webhook-configuration="}, short, ""},
		"no namespace": {nil, own, "--namespace or $POD_NAMESPACE is needed"},
		"no identity":  {[]string{"--namespace=a", "--service-account="}, own, "--service-account is needed"},
		"negative":     {[]string{"--namespace=a", "--wait=-1s"}, own, "--wait: -1s is not accepted"},
		"an argument":  {[]string{"--namespace=a", "now"}, own, `unknown argument "now"`},
		"a flag":       {[]string{"--namespace=a", "--proxy-image=x"}, own, "flag provided but not defined: -proxy-image"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseUninstall(tt.args)
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %s", err, tt.err)
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// TestLinger: told to stop, it goes on for a while and no longer.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithCancel(t.Context())
		ctx := linger(parent, 5*time.Second)
		stop()
		time.Sleep(5*time.Second - time.Nanosecond)
		if ctx.Err() != nil {
			t.Fatal("it did not linger")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Fatal("it does not end")
		}
	})
}
