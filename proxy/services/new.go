package services

import (
	"context"
	"fmt"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/target"
)

// New returns a Manager that talks to the API server of a configuration; nothing happens before Run.
func New(config *rest.Config, options Options, log *zap.Logger) (*Manager, error) {
	config = rest.CopyConfig(config)
	reach, metrics := &target.Reach{}, newMetrics(options.Namespace)
	config.Wrap(reach.Wrap)
	config.Wrap(metrics.api.wrap)
	config.QPS = -1 // calls are few, and each has somebody waiting for it; the API server has its own fairness
	c, err := kube.New(config)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		options: options, log: log, pods: c.Pods, store: &target.Store{Leases: c.Leases, Scales: c.Scales},
		process: newProcess(options.Pod),
		reach:   reach,
		metrics: metrics,
		ack:     newAcknowledger(c.Leases, log, options),
		kick:    make(chan struct{}, 1),
		turns:   make(chan struct{}, turns),

		announcer: newAnnouncer(c.Events, log, options),

		fronts:       map[types.UID]*front.Service{},
		names:        map[types.UID]string{},
		gates:        map[types.UID][]*gate{},
		late:         map[types.UID]said{},
		targets:      map[contract.Target]*target.Keeper{},
		leases:       map[string]*target.Keeper{},
		podSelectors: map[contract.Target]labels.Selector{},
		denied:       map[contract.Target]bool{},
		served:       map[types.UID]*corev1.Service{},
		problems:     map[types.UID]string{},
		notReady:     fmt.Errorf("namespace %s is not listed yet", options.Namespace),
	}
	m.reporter = newReporter(c.Leases, log, options, m.usage)
	m.teller = &teller{
		events: c.Events, log: log, options: options, services: m.toldServices, kind: c.Scales.Kind, queue: make(chan happening, maxUntold),
	}
	m.watched = m.watches(c)
	m.bound(0)
	m.world = World{}.index()
	m.keeping, m.stopKeeping = context.WithCancel(context.Background())
	return m, nil
}
