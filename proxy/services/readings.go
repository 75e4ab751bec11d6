package services

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// reading is what the annotations of a version of a Service say.
type reading struct {
	slots    contract.Ports
	original contract.Original
	selector labels.Selector // the original's; nil if that cannot be read
	// broken says why the Service cannot be served; empty if it can.
	broken string
	// targeted says that it names targets, and settings are the user's, as far as bad does not say otherwise.
	targeted bool
	settings contract.Settings
	bad      error
	// early says that its request to sleep was still to come when it was read, and does not count.
	early bool
}

// readings keep what Services say from one plan to the next: of a thousand, one has changed since. A watched object is
// never changed, so its address stands for its version. The zero value is ready to use; not safe for concurrent use.
type readings struct {
	defaults contract.Defaults
	known    map[*corev1.Service]*reading
}

// renew has the readings be those of a World, and forget all others.
func (rs *readings) renew(w World) {
	kept := make(map[*corev1.Service]*reading, len(rs.known))
	if rs.defaults == w.Defaults {
		for _, services := range [][]*corev1.Service{w.Services, w.Lingering} {
			for _, svc := range services {
				if r := rs.known[svc]; r != nil {
					kept[svc] = r
				}
			}
		}
	}
	rs.defaults, rs.known = w.Defaults, kept
}

func (rs *readings) read(svc *corev1.Service, now time.Time) *reading {
	r := rs.known[svc]
	if r == nil {
		r = read(svc, rs.defaults, now)
		rs.known[svc] = r
	}
	return r
}

func read(svc *corev1.Service, defaults contract.Defaults, now time.Time) *reading {
	r := &reading{}
	var err error
	if r.original, err = contract.ParseOriginal(svc.Annotations[contract.OriginalKey]); err != nil {
		r.broken = err.Error()
	} else {
		r.selector = labels.SelectorFromSet(r.original.Selector)
	}
	if r.slots, err = contract.ParsePorts(svc.Annotations[contract.PortsKey]); err != nil {
		r.broken = err.Error()
	}
	if _, r.targeted = svc.Annotations[contract.TargetKey]; r.targeted {
		r.settings, r.bad = contract.Parse(svc.Annotations, defaults)
		r.early = target.HeardOf(r.settings.SleepRequested, now).IsZero()
	}
	return r
}
