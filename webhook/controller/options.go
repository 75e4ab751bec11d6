package controller

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// Options are an administrator's choices. BindFlags sets the defaults.
type Options struct {
	// Namespace is TPA's own, which is never opted in; default: $POD_NAMESPACE. It is not a flag of this package: the
	// whole of the webhook needs it.
	Namespace string
	// ServiceAccount is TPA's own in that Namespace; the whole of the webhook needs it, too.
	ServiceAccount string

	// ProxyImage is required.
	ProxyImage string
	// ProxyImagePullPolicy is Always, IfNotPresent, Never, or empty for the API server's default.
	ProxyImagePullPolicy string
	// ProxyArgs are further flags of the proxy.
	ProxyArgs []string
	// ProxyDrain is how long a proxy may take to end its connections once it is told to stop; default 5m, at least 1s.
	ProxyDrain time.Duration
	// ProxyCPU and ProxyMemory are requested for a proxy, ProxyCPULimit and ProxyMemoryLimit bound it; defaults 20m, 32Mi,
	// none, 512Mi. Empty or 0: none.
	ProxyCPU, ProxyMemory, ProxyCPULimit, ProxyMemoryLimit string
	// ProxyPullSecrets name Secrets with which the proxies' image is pulled, in each namespace that has them; TPA brings
	// none.
	ProxyPullSecrets []string
	// ProxyNodeSelector, such as pool=infra,kubernetes.io/arch=arm64, ProxyTolerations, a list in JSON, and
	// ProxyPriorityClass say where proxies run and what goes before them; empty: as Kubernetes does.
	ProxyNodeSelector, ProxyTolerations, ProxyPriorityClass string
	// ProxyPodLabels and ProxyPodAnnotations, such as team=infra,tier=net, are the pods' besides TPA's own, for meshes, cost tools
	// and the like; a pair that holds a comma or a quote is written as in CSV; empty: none.
	ProxyPodLabels, ProxyPodAnnotations string

	// NamespaceSelector narrows which namespaces may opt in; empty: all. It must say the same as the namespaceSelector of
	// the webhook configuration.
	NamespaceSelector string
	// SettleTime is how long connections from before TPA may go on before a target may sleep for the first time; default
	// 10m, 0: not at all.
	SettleTime time.Duration
	// RestoreTimeout is how long a Service that is opted out waits for a ready backend; default 5m.
	RestoreTimeout time.Duration
	// Linger is how long a namespace's proxy stays after its last Service is restored; default 60s.
	Linger time.Duration
	// StepAsideAfter is how long a namespace may be without a ready proxy before its Services get their own selectors
	// back; default 30s, 0: never.
	StepAsideAfter time.Duration
	// StepAsideBackoff is for how long proxies must be ready before Services are theirs again after TPA stepped aside once;
	// it doubles with each time in a row, up to 30m. Default 30s.
	StepAsideBackoff time.Duration

	// Targets keeps targets awake. Setup makes one where it is nil.
	Targets Targets

	namespaces labels.Selector // NamespaceSelector
}

// BindFlags adds the flags and sets their defaults.
func (o *Options) BindFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.ProxyImage, "proxy-image", "", "image of the proxies (required)")
	fs.StringVar(&o.ProxyImagePullPolicy, "proxy-image-pull-policy", "",
		"Always, IfNotPresent or Never; empty: as Kubernetes does for the image's tag")
	fs.Var((*list)(&o.ProxyArgs), "proxy-arg", "a further argument of the proxies, such as --log-level=debug; may be repeated")
	fs.DurationVar(&o.ProxyDrain, "proxy-drain", 5*time.Minute, "how long a proxy that is told to stop may take to end its connections")
	fs.StringVar(&o.ProxyCPU, "proxy-cpu", "20m", "CPU request of a proxy")
	fs.StringVar(&o.ProxyMemory, "proxy-memory", "32Mi", "memory request of a proxy")
	fs.StringVar(&o.ProxyCPULimit, "proxy-cpu-limit", "", "CPU limit of a proxy; one that is throttled slows down every connection")
	fs.StringVar(&o.ProxyMemoryLimit, "proxy-memory-limit", "512Mi", "memory limit of a proxy")
	fs.Var((*list)(&o.ProxyPullSecrets), "proxy-pull-secret",
		"Secret to pull the proxies' image with, in each namespace that has it; TPA brings none; may be repeated")
	fs.StringVar(&o.ProxyNodeSelector, "proxy-node-selector", "", "labels of the nodes that proxies run on, such as pool=infra")
	fs.StringVar(&o.ProxyTolerations, "proxy-tolerations", "",
		`taints that proxies tolerate, in JSON, such as [{"key":"pool","operator":"Exists"}]`)
	fs.StringVar(&o.ProxyPriorityClass, "proxy-priority-class", "", "PriorityClass of the proxies")
	fs.StringVar(&o.ProxyPodLabels, "proxy-pod-labels", "",
		"labels of the proxies' pods besides TPA's own, such as team=infra; none by which a Service selects its pods")
	fs.StringVar(&o.ProxyPodAnnotations, "proxy-pod-annotations", "",
		"annotations of the proxies' pods, such as linkerd.io/inject=disabled; a pair with a comma in double quotes, as in CSV")
	fs.StringVar(&o.NamespaceSelector, "namespace-selector", "",
		"which labelled namespaces may opt in, such as 'env in (dev,test)'; the webhook configuration's optin.tpa.dev must say the same")
	fs.DurationVar(&o.SettleTime, "settle-time", 10*time.Minute,
		"how long connections from before a Service was managed may go on before its target may sleep")
	fs.DurationVar(&o.RestoreTimeout, "restore-timeout", 5*time.Minute,
		"how long a Service that is opted out waits for a ready backend")
	fs.DurationVar(&o.Linger, "linger", time.Minute, "how long a namespace's proxy stays after its last Service is restored")
	fs.DurationVar(&o.StepAsideAfter, "step-aside-after", 30*time.Second,
		"how long a namespace may be without a ready proxy before its Services get their own selectors back; 0: never")
	fs.DurationVar(&o.StepAsideBackoff, "step-aside-backoff", 30*time.Second,
		"how long proxies must be ready before Services are theirs again after they got their own selectors back; "+
			"doubles with each time in a row, up to 30m")
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// validate fills in the namespace and returns the proxies' configuration.
func (o *Options) validate() (proxyobjects.Config, error) {
	if o.Namespace == "" {
		o.Namespace = os.Getenv("POD_NAMESPACE")
	}
	config := proxyobjects.Config{
		Image: o.ProxyImage, PullPolicy: corev1.PullPolicy(o.ProxyImagePullPolicy), Args: o.ProxyArgs, Drain: o.ProxyDrain,
		PullSecrets: o.ProxyPullSecrets, PriorityClass: o.ProxyPriorityClass,
	}
	var errs []error
	if o.Namespace == "" {
		errs = append(errs, errors.New("TPA's own namespace is not known: set --namespace or $POD_NAMESPACE"))
	}
	if o.ProxyImage == "" {
		errs = append(errs, errors.New("--proxy-image is needed: the image of the proxies"))
	}
	switch config.PullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		errs = append(errs, fmt.Errorf("--proxy-image-pull-policy: %q is not accepted: write Always, IfNotPresent or Never", o.ProxyImagePullPolicy))
	}
	if o.ProxyDrain < time.Second {
		errs = append(errs, fmt.Errorf("--proxy-drain: %s is not accepted: write 1s or more", o.ProxyDrain))
	}
	for name, d := range map[string]time.Duration{
		"settle-time": o.SettleTime, "restore-timeout": o.RestoreTimeout, "linger": o.Linger, "step-aside-after": o.StepAsideAfter,
		"step-aside-backoff": o.StepAsideBackoff,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("--%s: %s is not accepted: write 0s or more", name, d))
		}
	}
	quantity := func(name, value string) (q resource.Quantity) {
		if value == "" {
			return q
		}
		q, err := resource.ParseQuantity(value)
		if err != nil || q.Sign() < 0 {
			errs = append(errs, fmt.Errorf("--%s: %q is not accepted: write a quantity such as 20m or 32Mi", name, value))
		}
		return q
	}
	config.CPU = quantity("proxy-cpu", o.ProxyCPU)
	config.Memory = quantity("proxy-memory", o.ProxyMemory)
	config.CPULimit = quantity("proxy-cpu-limit", o.ProxyCPULimit)
	config.MemoryLimit = quantity("proxy-memory-limit", o.ProxyMemoryLimit)
	errs = append(errs, o.placement(&config)...)
	errs = append(errs, o.podLabels(&config)...)
	var err error
	if o.namespaces, err = labels.Parse(o.NamespaceSelector); err != nil {
		errs = append(errs, fmt.Errorf("--namespace-selector: %q is not accepted: %w", o.NamespaceSelector, err))
	}
	return config, errors.Join(errs...)
}

// placement fills in where proxies run, and says what is wrong with it: a Deployment that the API server refuses, or whose
// pods it does, would be noticed only in the namespaces.
func (o *Options) placement(config *proxyobjects.Config) (errs []error) {
	for _, name := range o.ProxyPullSecrets {
		for _, why := range validation.NameIsDNSSubdomain(name, false) {
			errs = append(errs, fmt.Errorf("--proxy-pull-secret: %q is not accepted: %s", name, why))
		}
	}
	if o.ProxyPriorityClass != "" {
		for _, why := range validation.NameIsDNSSubdomain(o.ProxyPriorityClass, false) {
			errs = append(errs, fmt.Errorf("--proxy-priority-class: %q is not accepted: %s", o.ProxyPriorityClass, why))
		}
	}
	var err error
	if config.NodeSelector, err = labels.ConvertSelectorToLabelsMap(o.ProxyNodeSelector); err != nil {
		errs = append(errs, fmt.Errorf("--proxy-node-selector: %q is not accepted: %w", o.ProxyNodeSelector, err))
	}
	if o.ProxyTolerations == "" {
		return errs
	}
	if err := yaml.UnmarshalStrict([]byte(o.ProxyTolerations), &config.Tolerations); err != nil {
		return append(errs, fmt.Errorf("--proxy-tolerations: %q is not accepted: %w", o.ProxyTolerations, err))
	}
	for _, t := range config.Tolerations {
		switch t.Operator {
		case "", corev1.TolerationOpExists, corev1.TolerationOpEqual:
		default:
			errs = append(errs, fmt.Errorf("--proxy-tolerations: operator %q is not accepted: write Exists or Equal", t.Operator))
		}
		switch t.Effect {
		case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		default:
			errs = append(errs, fmt.Errorf("--proxy-tolerations: effect %q is not accepted: write NoSchedule, PreferNoSchedule or NoExecute", t.Effect))
		}
	}
	return errs
}
