package main

import "fmt"

// containerdConfig: restrict_oom_score_adj because a sandbox asks for a lower score,
// which takes CAP_SYS_RESOURCE; a container or a small VM has none, and every pod
// would fail with "can't get final child's PID from pipe: EOF".
func containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = "/run/tpa/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/run/tpa/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
`, pauseImage)
}

// cniConfig: hairpin, so that a pod reaches itself through its Service; no
// masquerading, so that pods see each other's own addresses across nodes.
func cniConfig(n int) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "tpa",
  "plugins": [{
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": true,
    "hairpinMode": true,
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, podSubnet(n))
}

// kubeletConfig: nothing is evicted and no image collected, however full the
// machine's disk is: an image cannot be pulled again. No cluster DNS is claimed.
func kubeletConfig(c *cluster, n int) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
healthzBindAddress: 127.0.0.1
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %q}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard:
  memory.available: "0%%"
  nodefs.available: "0%%"
  nodefs.inodesFree: "0%%"
  imagefs.available: "0%%"
  imagefs.inodesFree: "0%%"
imageGCHighThresholdPercent: 100
resolvConf: /dev/null
podLogsDir: /run/tpa/pod-logs
volumePluginDir: /run/tpa/kubelet/volume-plugins
`, nodeIP(n), c.path("pki/ca.crt"), nodeCgroup(n))
}

// kubeProxyConfig: conntrack limits belong to the machine, not to a node of ours.
func kubeProxyConfig(c *cluster, n int) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
bindAddress: %s
healthzBindAddress: %s:10256
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: %s
clientConnection: {kubeconfig: %q}
conntrack: {maxPerCore: 0, min: 0}
`, nodeName(n), nodeIP(n), nodeIP(n), podRange, c.path("pki/kube-proxy.kubeconfig"))
}
