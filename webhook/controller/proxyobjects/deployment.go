package proxyobjects

import (
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// Config is what an administrator chooses for all proxies.
type Config struct {
	// Image is required.
	Image string
	// PullPolicy; empty: the API server's default for the image's tag.
	PullPolicy corev1.PullPolicy
	// Args are the proxy's flags, after those that follow from this Config.
	Args []string
	// Drain is how long a proxy that is told to stop may take, 1s or more.
	Drain time.Duration
	// CPU and Memory are requested, CPULimit and MemoryLimit are the limits; a zero one is left out.
	CPU, Memory, CPULimit, MemoryLimit resource.Quantity
	// PullSecrets name Secrets of the namespace to pull the image with; those that it does not have are passed over.
	PullSecrets []string
	// NodeSelector, Tolerations and PriorityClass are the pods'; empty ones are left out.
	NodeSelector  map[string]string
	Tolerations   []corev1.Toleration
	PriorityClass string
	// PodLabels and PodAnnotations are the pods' besides TPA's own, which they do not change; empty ones are left out.
	PodLabels, PodAnnotations map[string]string
}

// user is the non-root user of the proxy's image.
const user = 65532

// stopMargin is the part of the drain in which a proxy still accepts and then ends, see the proxy's --shutdown-delay.
const stopMargin = 30 * time.Second

func deployment(namespace string, replicas int32, config Config) *appsv1.Deployment {
	pod := map[string]string{}
	maps.Copy(pod, config.PodLabels)
	maps.Copy(pod, Labels())
	maps.Copy(pod, contract.ProxySelector())
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: meta(namespace),
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: Labels()},
			// Never fewer proxies than asked for while they are replaced.
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pod, Annotations: config.PodAnnotations},
				Spec:       podSpec(config),
			},
		},
	}
}

func podSpec(config Config) corev1.PodSpec {
	var secrets []corev1.LocalObjectReference
	for _, name := range config.PullSecrets {
		secrets = append(secrets, corev1.LocalObjectReference{Name: name})
	}
	return corev1.PodSpec{
		ImagePullSecrets:              secrets,
		NodeSelector:                  config.NodeSelector,
		Tolerations:                   config.Tolerations,
		PriorityClassName:             config.PriorityClass,
		ServiceAccountName:            contract.ProxyName,
		TerminationGracePeriodSeconds: to(int64(config.Drain / time.Second)),
		EnableServiceLinks:            to(false), // a variable for each Service of the namespace, read by nobody
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   to(true),
			RunAsUser:      to(int64(user)),
			RunAsGroup:     to(int64(user)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 100,
				PodAffinityTerm: corev1.PodAffinityTerm{
					TopologyKey:   corev1.LabelHostname,
					LabelSelector: &metav1.LabelSelector{MatchLabels: Labels()},
				},
			}},
		}},
		Containers: []corev1.Container{container(config)},
	}
}

func container(config Config) corev1.Container {
	args := []string{"--drain-timeout=" + max(0, config.Drain-stopMargin).String()}
	return corev1.Container{
		Name:            contract.ProxyContainer,
		Image:           config.Image,
		ImagePullPolicy: config.PullPolicy,
		Args:            append(args, config.Args...),
		Env: []corev1.EnvVar{
			field("POD_NAME", "metadata.name"),
			field("POD_NAMESPACE", "metadata.namespace"),
			field("POD_UID", "metadata.uid"),
		},
		// The ports of the Services are not listed: they come and go, and a pod's list is fixed. A Service whose targetPort
		// is a number needs no entry here.
		Ports: []corev1.ContainerPort{{Name: "admin", ContainerPort: contract.AdminPort, Protocol: corev1.ProtocolTCP}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler: get("/readyz"), PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
		},
		LivenessProbe: &corev1.Probe{
			ProbeHandler: get("/healthz"), PeriodSeconds: 10, TimeoutSeconds: 5, SuccessThreshold: 1, FailureThreshold: 6,
		},
		Resources: resources(config),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: to(false),
			ReadOnlyRootFilesystem:   to(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

func get(path string) corev1.ProbeHandler {
	return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("admin")}}
}

func resources(config Config) corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	set := func(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
		if q.IsZero() {
			return
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = q
	}
	set(&r.Requests, corev1.ResourceCPU, config.CPU)
	set(&r.Requests, corev1.ResourceMemory, config.Memory)
	set(&r.Limits, corev1.ResourceCPU, config.CPULimit)
	set(&r.Limits, corev1.ResourceMemory, config.MemoryLimit)
	return r
}

func to[T any](v T) *T { return &v }
