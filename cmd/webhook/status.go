package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/webhook/status"
	"tpa.dev/tpa/webhook/view"
	"tpa.dev/tpa/webhook/view/reader"
)

// The status page's own limits: it reads a scale for each target, and is less urgent than everything else.
const (
	statusQueries = 50 // a second
	statusBurst   = 100
)

// serveStatus serves the status page on every replica, unless it is off.
func serveStatus(ctx context.Context, mgr ctrl.Manager, opts options) error {
	if opts.statusAddress == "0" {
		return nil
	}
	read, err := statusReader(mgr.GetConfig())
	if err != nil {
		return err
	}
	leases, err := mgr.GetCache().GetInformer(ctx, &coordinationv1.Lease{})
	if err != nil {
		return fmt.Errorf("watch leases for the status page: %w", err)
	}
	wakes := status.NewWakes(time.Now)
	if _, err := leases.AddEventHandler(wakes); err != nil {
		return fmt.Errorf("watch leases for the status page: %w", err)
	}
	source := &status.Source{Read: func(ctx context.Context) ([]*view.Namespace, error) { return read.Read(ctx, "") }}
	logger := log.New(logWriter{mgr.GetLogger().WithName("status")}, "", 0)
	timeout := shutdownTimeout
	return mgr.Add(&manager.Server{
		Name: "status", Server: status.NewServer(opts.statusAddress, status.NewHandler(source, wakes), logger), ShutdownTimeout: &timeout,
	})
}

func statusReader(config *rest.Config) (reader.Reader, error) {
	config = rest.CopyConfig(config)
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(statusQueries, statusBurst) // one for all of its clients
	scales, err := kube.New(config)
	if err != nil {
		return reader.Reader{}, fmt.Errorf("client of the status page: %w", err)
	}
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return reader.Reader{}, fmt.Errorf("client of the status page: %w", err)
	}
	return reader.Reader{Client: client, Scales: scales.Scales}, nil
}

// logWriter logs what a server of package net/http says: requests that are none, mostly.
type logWriter struct{ log logr.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	w.log.V(1).Info(string(line))
	return len(line), nil
}
