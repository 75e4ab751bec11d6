package main

import (
	"context"
	"fmt"
	"os"

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

// cluster is what TPA's proxy sees: a namespace with a Service that is Active, the pod behind it, and its own pod.
type cluster struct {
	namespace string
	proxy     *corev1.Pod
	// kubeconfig has the rights of the namespace's proxy.
	kubeconfig string
}

// newCluster plays a user, the controller and the kubelet up to where connections pass the proxy.
func newCluster(ctx context.Context, server *apiserver.Server, namespace, serverAddress string, p place) (*cluster, error) {
	c := &cluster{namespace: namespace, proxy: pod(namespace, contract.ProxyName)}
	backend := pod(namespace, app)
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: contract.ProxyClusterRole},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: contract.ProxyName}},
		},
		deployment(backend), backend, c.proxy, service(namespace, p),
	} {
		if err := server.Admin.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("create %T %s/%s: %w", o, namespace, o.GetName(), err)
		}
	}
	backend.Status.PodIP = serverAddress
	backend.Status.PodIPs = []corev1.PodIP{{IP: serverAddress}}
	if err := apiserver.SetReady(ctx, server.Admin, backend, true); err != nil {
		return nil, fmt.Errorf("pod %s/%s: %w", namespace, app, err)
	}
	return c, c.writeKubeconfig(server, p)
}

// writeKubeconfig puts one where the proxy may read it.
func (c *cluster) writeKubeconfig(server *apiserver.Server, p place) error {
	const accounts = "system:serviceaccounts"
	path, err := server.Kubeconfig("system:serviceaccount:"+c.namespace+":"+contract.ProxyName, accounts, accounts+":"+c.namespace)
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

func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: name}}},
	}
}

func deployment(of *corev1.Pod) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: of.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: of.Labels}, Spec: of.Spec},
		},
	}
}

// service is as the webhook and the controller leave it. Its target is never idle for long enough to sleep.
func service(namespace string, p place) *corev1.Service {
	original := contract.Original{Selector: map[string]string{"app": app}, TargetPorts: map[int32]intstr.IntOrString{
		echoServicePort: intstr.FromInt32(echoPort), bulkServicePort: intstr.FromInt32(bulkPort),
	}}
	slots := contract.Ports{echoServicePort: int32(p.Echo), bulkServicePort: int32(p.Bulk)}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: app, UID: types.UID(namespace),
			Labels: map[string]string{contract.ManagedLabel: contract.ManagedTrue},
			Annotations: map[string]string{
				contract.TargetKey: app, contract.IdleTimeoutKey: "24h", contract.PhaseKey: string(contract.Active),
				contract.PortsKey: slots.String(), contract.OriginalKey: original.String(),
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
