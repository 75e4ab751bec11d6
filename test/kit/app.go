package kit

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// The images of `make test-images`.
const (
	AppImage      = "localhost/app:dev"
	PostgresImage = "localhost/postgres:dev"
	RedisImage    = "localhost/redis:dev"
)

// Namespace returns a namespace that enforces the restricted pod security standard, opted in or not.
func Namespace(name string, optedIn bool) *corev1.Namespace {
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if optedIn {
		labels[contract.InjectLabel] = contract.InjectEnabled
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// App is a workload that sleeps, with what its objects need under the restricted pod security standard. The zero value
// of all but Name and Namespace is the test app, which answers HTTP on port 8080 (named http) and 8081, and speaks
// first on port 9000 (named greeting).
type App struct {
	Name, Namespace string
	// Replicas default to 1.
	Replicas int32
	// Image, with Args and Ready, is another server. Default AppImage.
	Image string
	Args  []string
	// Ready is the readiness probe. Default: GET /ready of the test app every second, none for another image.
	Ready *corev1.Probe
	// NoProbe leaves the test app without one.
	NoProbe bool
	// CPU is what a pod requests of it, such as 100m. Default: nothing, which on a busy node is next to nothing.
	CPU string
	// Ports are the container's. Default: those of the test app.
	Ports []corev1.ContainerPort
}

// Postgres is a PostgreSQL server with a table "greeting", user postgres, no password.
func Postgres(namespace string) App {
	return App{
		Name: "postgres", Namespace: namespace, Image: PostgresImage,
		Ports: []corev1.ContainerPort{{Name: "postgres", ContainerPort: 5432}},
		Ready: running("/usr/lib/postgresql/15/bin/pg_isready", "-h", "127.0.0.1"),
	}
}

// Redis is a Redis server that keeps nothing when it ends.
func Redis(namespace string) App {
	return App{
		Name: "redis", Namespace: namespace, Image: RedisImage,
		Ports: []corev1.ContainerPort{{Name: "redis", ContainerPort: 6379}},
		Ready: running("/usr/bin/redis-cli", "ping"),
	}
}

func running(command ...string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}},
		PeriodSeconds: 1, TimeoutSeconds: 5,
	}
}

// Labels are the pods', and the Service's selector.
func (a App) Labels() map[string]string { return map[string]string{"app": a.Name} }

func (a App) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: a.Name, Namespace: a.Namespace, Labels: a.Labels()}
}

// Deployment returns the workload.
func (a App) Deployment() *appsv1.Deployment {
	replicas := max(1, a.Replicas)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: a.meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: a.Labels()},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: a.Labels()}, Spec: a.pod()},
		},
	}
}

// StatefulSet returns the workload as one whose pods start one after the other.
func (a App) StatefulSet() *appsv1.StatefulSet {
	d := a.Deployment()
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: d.ObjectMeta,
		Spec:       appsv1.StatefulSetSpec{Replicas: d.Spec.Replicas, Selector: d.Spec.Selector, Template: d.Spec.Template, ServiceName: a.Name},
	}
}

func (a App) pod() corev1.PodSpec {
	yes, no, user, grace := true, false, int64(65532), int64(10)
	container := corev1.Container{
		Name: a.Name, Image: a.Image, Args: a.Args, Ports: a.Ports, ReadinessProbe: a.Ready,
		ImagePullPolicy: corev1.PullIfNotPresent,
		VolumeMounts:    []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if a.Image == "" {
		container.Image = AppImage
		container.Args = append([]string{"--addr=:8080,:8081", "--greeting=:9000"}, a.Args...)
		container.Ports = []corev1.ContainerPort{
			{Name: "http", ContainerPort: 8080}, {ContainerPort: 8081}, {Name: "greeting", ContainerPort: 9000},
		}
		if a.Ready == nil && !a.NoProbe {
			container.ReadinessProbe = &corev1.Probe{
				ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Path: "/ready", Port: intstr.FromString("http"),
				}},
				PeriodSeconds: 1, TimeoutSeconds: 5,
			}
		}
	}
	if a.CPU != "" {
		container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(a.CPU)}
	}
	return corev1.PodSpec{
		Containers:                    []corev1.Container{container},
		TerminationGracePeriodSeconds: &grace,
		AutomountServiceAccountToken:  &no,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
}

// Service returns a Service in front of the workload: port 80 to the first container port by its name.
func (a App) Service(annotations map[string]string) *corev1.Service {
	target := "http"
	if len(a.Ports) > 0 {
		target = a.Ports[0].Name
	}
	meta := a.meta()
	meta.Annotations = maps.Clone(annotations)
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta,
		Spec: corev1.ServiceSpec{
			Selector: a.Labels(),
			Ports:    []corev1.ServicePort{{Name: "main", Port: 80, TargetPort: intstr.FromString(target)}},
		},
	}
}
