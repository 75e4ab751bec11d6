package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// The server's Service, with the ports that its clients know.
const (
	app             = "web"
	echoServicePort = 80
	bulkServicePort = 81
)

// cluster is what TPA's proxy sees: a namespace with a Service that is Active, the pods behind it, and its own pod.
type cluster struct {
	api       *apiserver.Server
	namespace string
	backends  []*corev1.Pod
	proxy     *corev1.Pod
	// kubeconfig has the rights of the namespace's proxy.
	kubeconfig string
}

// newCluster plays a user, the controller and the kubelet up to where the target has its replicas, and a pod at each
// address that is not ready.
func newCluster(ctx context.Context, api *apiserver.Server, namespace string, p place, replicas int32, addresses ...string) (*cluster, error) {
	c := &cluster{api: api, namespace: namespace, proxy: pod(namespace, contract.ProxyName, contract.ProxyName)}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: contract.ProxyClusterRole},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: contract.ProxyName}},
		},
		deployment(namespace, replicas), c.proxy, service(namespace, p),
	}
	for i := range addresses {
		c.backends = append(c.backends, pod(namespace, app, fmt.Sprintf("%s-%d", app, i)))
		objects = append(objects, c.backends[i])
	}
	for _, o := range objects {
		if err := api.Admin.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("create %T %s/%s: %w", o, namespace, o.GetName(), err)
		}
	}
	for i, backend := range c.backends {
		backend.Status.PodIP = addresses[i]
		backend.Status.PodIPs = []corev1.PodIP{{IP: addresses[i]}}
		if err := c.setReady(ctx, backend, false); err != nil {
			return nil, err
		}
	}
	return c, c.writeKubeconfig(p)
}

// ready makes all pods behind the Service ready.
func (c *cluster) ready(ctx context.Context) error {
	for _, backend := range c.backends {
		if err := c.setReady(ctx, backend, true); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) setReady(ctx context.Context, pod *corev1.Pod, ready bool) error {
	if err := apiserver.SetReady(ctx, c.api.Admin, pod, ready); err != nil {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// writeKubeconfig puts one where the proxy may read it.
func (c *cluster) writeKubeconfig(p place) error {
	const accounts = "system:serviceaccounts"
	path, err := c.api.Kubeconfig("system:serviceaccount:"+c.namespace+":"+contract.ProxyName, accounts, accounts+":"+c.namespace)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c.kubeconfig = p.Folder + "/kubeconfig"
	if err := os.WriteFile(c.kubeconfig, data, 0o400); err != nil {
		return err
	}
	return os.Chown(c.kubeconfig, int(p.user), int(p.user))
}

func pod(namespace, app, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: app}}},
	}
}

func deployment(namespace string, replicas int32) *appsv1.Deployment {
	template := pod(namespace, app, app)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
		},
	}
}

// service is as the webhook and the controller leave it. Its target is never idle for long enough to sleep.
func service(namespace string, p place) *corev1.Service {
	original := contract.Original{Selector: map[string]string{"app": app}, TargetPorts: map[int32]intstr.IntOrString{
		echoServicePort: intstr.FromInt(p.echoTarget), bulkServicePort: intstr.FromInt32(bulkPort),
	}}
	slots := contract.Ports{echoServicePort: int32(p.Echo), bulkServicePort: int32(p.Bulk)}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: app, UID: types.UID(namespace),
			Labels: map[string]string{contract.ManagedLabel: contract.ManagedTrue},
			Annotations: map[string]string{
				contract.TargetKey: app, contract.IdleTimeoutKey: "24h", contract.PhaseKey: string(contract.Active),
				contract.PortsKey: slots.String(), contract.OriginalKey: original.String(),
				contract.MaxHeldKey: strconv.Itoa(heldConns),
			},
		},
		Spec: corev1.ServiceSpec{
			Selector: contract.ProxySelector(),
			Ports: []corev1.ServicePort{
				{Name: "echo", Port: echoServicePort, TargetPort: intstr.FromInt(p.Echo)},
				{Name: "bulk", Port: bulkServicePort, TargetPort: intstr.FromInt(p.Bulk)},
			},
		},
	}
}
