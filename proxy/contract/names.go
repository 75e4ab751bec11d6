package contract

import "maps"

// ProxyName names the Deployment, ServiceAccount, RoleBinding and PodDisruptionBudget of the proxy in each namespace
// that has a managed Service, and the Lease that carries the namespace's defaults to it.
const ProxyName = "tpa-proxy"

// ProxyContainer is the container of a proxy pod.
const ProxyContainer = "proxy"

// ProxyClusterRole is the ClusterRole that a namespace's RoleBinding gives to its proxy.
const ProxyClusterRole = "tpa-proxy"

// FieldManager owns the fields that TPA sets.
const FieldManager = "tpa"

// The proxy's own ports. PortMin–PortMax is the range that the controller allocates from, one port for each Service
// port; a user's targetPort may not lie in it.
const (
	PortMin = 20000
	PortMax = 29999
	// AdminPort serves /metrics, /healthz and /readyz of the proxy.
	AdminPort = 9090
)

// InPortRange reports whether a port number belongs to TPA's range.
func InPortRange(port int32) bool { return port >= PortMin && port <= PortMax }

// ProxySelector returns the selector of a rewritten Service, which is also a label of every proxy pod.
func ProxySelector() map[string]string { return map[string]string{SelectorKey: SelectorValue} }

// IsProxySelector reports whether a selector is exactly the one of a rewritten Service.
func IsProxySelector(selector map[string]string) bool { return maps.Equal(selector, ProxySelector()) }

// PodLease names the Lease in which a proxy pod records what it listens on.
func PodLease(pod string) string { return ProxyName + "-" + pod }
