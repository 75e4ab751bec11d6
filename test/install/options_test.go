//go:build integration

package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	webhook = "Deployment/tpa-webhook spec.template."
	hook    = "Job/tpa-uninstall spec.template."
)

// option is what somebody sets, and what comes of it.
type option struct {
	name, values string
	want         []string
}

// arg is one more flag of the webhook, the first after its usual ones.
func arg(flag string) []string {
	return []string{"+ " + webhook + "spec.containers[0].args[9]: " + flag}
}

// both is a line for the webhook's pods and one for the hook's.
func both(sign, rest string) []string {
	return []string{sign + " " + webhook + rest, sign + " " + hook + rest}
}

func concat(lists ...[]string) []string { return slices.Concat(lists...) }

const (
	images      = "spec.containers[0].image: "
	proxyImage  = "spec.containers[0].env[1].value: "
	podLabels   = webhook + "spec.containers[0].args[8]: --proxy-pod-labels="
	policies    = "spec.containers[0].imagePullPolicy: "
	sha         = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	oldWebhook  = "tpa.dev/tpa-webhook:v0.1.0"
	oldProxy    = "tpa.dev/tpa-proxy:v0.1.0"
	certificate = "Certificate/tpa-webhook spec."
	optin       = "MutatingWebhookConfiguration/tpa webhooks[1].namespaceSelector.matchExpressions"
)

var options = []option{
	{"a registry of one's own", `image: {registry: registry.example.com/team}`, concat(
		both("-", images+oldWebhook), both("+", images+"registry.example.com/team/tpa-webhook:v0.1.0"),
		[]string{"- " + webhook + proxyImage + oldProxy, "+ " + webhook + proxyImage + "registry.example.com/team/tpa-proxy:v0.1.0"})},
	{"a tag", `image: {tag: v9}`, concat(
		both("-", images+oldWebhook), both("+", images+"tpa.dev/tpa-webhook:v9"),
		[]string{"- " + webhook + proxyImage + oldProxy, "+ " + webhook + proxyImage + "tpa.dev/tpa-proxy:v9"})},
	{"a pull policy", `image: {pullPolicy: IfNotPresent}`, concat(
		both("+", policies+"IfNotPresent"), arg("--proxy-image-pull-policy=IfNotPresent"))},
	{"the webhook's image", `webhook: {image: {registry: a.example, repository: b/w, tag: "1", pullPolicy: Always}}`, concat(
		both("-", images+oldWebhook), both("+", images+"a.example/b/w:1"), both("+", policies+"Always"))},
	{"the webhook's digest", `webhook: {image: {tag: "1", digest: "` + sha + `"}}`, concat(
		both("-", images+oldWebhook), both("+", images+"tpa.dev/tpa-webhook@"+sha))},
	{"the proxy's image", `proxy: {image: {registry: a.example, repository: b/p, tag: "1", pullPolicy: Never}}`, concat(
		[]string{"- " + webhook + proxyImage + oldProxy, "+ " + webhook + proxyImage + "a.example/b/p:1"},
		arg("--proxy-image-pull-policy=Never"))},
	{"the proxy's digest", `proxy: {image: {digest: "` + sha + `"}}`, []string{
		"- " + webhook + proxyImage + oldProxy, "+ " + webhook + proxyImage + "tpa.dev/tpa-proxy@" + sha}},
	{"images without a registry", `image: {registry: ""}`, concat(
		both("-", images+oldWebhook), both("+", images+"tpa-webhook:v0.1.0"),
		[]string{"- " + webhook + proxyImage + oldProxy, "+ " + webhook + proxyImage + "tpa-proxy:v0.1.0"})},
	{"pull secrets", `imagePullSecrets: [one, "2"]`, concat(
		both("+", "spec.imagePullSecrets[0].name: one"), both("+", "spec.imagePullSecrets[1].name: 2"), arg("--proxy-pull-secret=one"),
		[]string{"+ " + webhook + "spec.containers[0].args[10]: --proxy-pull-secret=2"})},
	{"three webhooks", `webhook: {replicas: 3}`, []string{
		"- Deployment/tpa-webhook spec.replicas: 2", "+ Deployment/tpa-webhook spec.replicas: 3"}},
	{"one webhook", `webhook: {replicas: 1}`, []string{
		"- Deployment/tpa-webhook spec.replicas: 2", "+ Deployment/tpa-webhook spec.replicas: 1", "- PodDisruptionBudget/tpa-webhook"}},
	{"the webhook's resources", `webhook: {resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: null, ephemeral-storage: 1Gi}}}`, concat(
		both("-", "spec.containers[0].resources.requests.cpu: 50m"), both("+", "spec.containers[0].resources.requests.cpu: 1"),
		both("-", "spec.containers[0].resources.requests.memory: 64Mi"), both("+", "spec.containers[0].resources.requests.memory: 1Gi"),
		both("-", "spec.containers[0].resources.limits.memory: 512Mi"), both("+", "spec.containers[0].resources.limits.ephemeral-storage: 1Gi"))},
	{"where the webhook runs", `
webhook:
  nodeSelector: {pool: infra}
  tolerations: [{key: pool, operator: Exists, effect: NoSchedule}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
  priorityClassName: system-cluster-critical`, concat(
		both("+", "spec.nodeSelector.pool: infra"), both("+", "spec.tolerations[0].key: pool"),
		both("+", "spec.tolerations[0].operator: Exists"), both("+", "spec.tolerations[0].effect: NoSchedule"),
		both("+", "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: a"),
		both("+", "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: Exists"),
		both("+", "spec.priorityClassName: system-cluster-critical"))},
	{"annotations of the webhook's pods", `webhook: {podAnnotations: {a.example/b: c, kubectl.kubernetes.io/default-container: x}}`, []string{
		"+ " + webhook + "metadata.annotations.a.example/b: c"}},
	{"flags of the webhook", `webhook: {extraArgs: [--zap-log-level=debug, --metrics-secure=false]}`, concat(
		arg("--zap-log-level=debug"), []string{"+ " + webhook + "spec.containers[0].args[10]: --metrics-secure=false"})},
	{"the proxies' resources", `proxy: {resources: {requests: {cpu: "0", memory: 64Mi}, limits: {cpu: 2, memory: 1Gi}}}`, concat(
		arg("--proxy-cpu=0"), []string{
			"+ " + webhook + "spec.containers[0].args[10]: --proxy-memory=64Mi",
			"+ " + webhook + "spec.containers[0].args[11]: --proxy-cpu-limit=2",
			"+ " + webhook + "spec.containers[0].args[12]: --proxy-memory-limit=1Gi"})},
	{"where the proxies run", `
proxy:
  nodeSelector: {pool: apps, kubernetes.io/os: linux}
  tolerations: [{key: pool, operator: Equal, value: apps, effect: NoExecute, tolerationSeconds: 60}]
  priorityClassName: system-cluster-critical`, concat(
		arg("--proxy-priority-class=system-cluster-critical"), []string{
			"+ " + webhook + "spec.containers[0].args[10]: --proxy-node-selector=kubernetes.io/os=linux,pool=apps",
			"+ " + webhook + `spec.containers[0].args[11]: --proxy-tolerations=` +
				`[{"effect":"NoExecute","key":"pool","operator":"Equal","tolerationSeconds":60,"value":"apps"}]`})},
	{"labels of the proxies' pods", `proxy: {podLabels: {team: infra, a.example/b: ""}}`, []string{
		"- " + podLabels + "sidecar.istio.io/inject=false", "+ " + podLabels + "a.example/b=,sidecar.istio.io/inject=false,team=infra"}},
	{"no label for Istio", `proxy: {podLabels: {sidecar.istio.io/inject: null}}`, []string{
		"- " + podLabels + "sidecar.istio.io/inject=false"}},
	{"annotations of the proxies' pods", `proxy: {podAnnotations: {linkerd.io/inject: disabled, a.example/b: '{"c":"d=e,f"}'}}`,
		arg(`--proxy-pod-annotations="a.example/b={""c"":""d=e,f""}",linkerd.io/inject=disabled`)},
	{"flags of the proxies", `proxy: {extraArgs: [--log-level=debug]}`, arg("--proxy-arg=--log-level=debug")},
	{"which namespaces may opt in", `
namespaceSelector:
  - {key: env, operator: In, values: [dev, test]}
  - {key: team, operator: NotIn, values: [core]}
  - {key: a, operator: Exists}
  - {key: b, operator: DoesNotExist}`, concat(arg("--namespace-selector=env in (dev,test),team notin (core),a,!b"), []string{
		"+ " + optin + "[1].key: env", "+ " + optin + "[1].operator: In", "+ " + optin + "[1].values[0]: dev", "+ " + optin + "[1].values[1]: test",
		"+ " + optin + "[2].key: team", "+ " + optin + "[2].operator: NotIn", "+ " + optin + "[2].values[0]: core",
		"+ " + optin + "[3].key: a", "+ " + optin + "[3].operator: Exists", "+ " + optin + "[4].key: b", "+ " + optin + "[4].operator: DoesNotExist"})},
	{"settle time", `timing: {settleTime: 1h30m}`, arg("--settle-time=1h30m")},
	{"restore time-out", `timing: {restoreTimeout: 2m}`, arg("--restore-timeout=2m")},
	{"linger", `timing: {linger: 90s}`, arg("--linger=90s")},
	{"never step aside", `timing: {stepAsideAfter: 0s}`, arg("--step-aside-after=0s")},
	{"back-off", `timing: {stepAsideBackoff: 1m}`, arg("--step-aside-backoff=1m")},
	{"drain", `timing: {proxyDrain: 10m}`, arg("--proxy-drain=10m")},
	{"shutdown delay", `timing: {shutdownDelay: 8s}`, arg("--shutdown-delay=8s")},
	{"the status page", `statusPage: {enabled: true}`, arg("--status-bind-address=127.0.0.1:8082")},
	{"an issuer of one's own", `certManager: {issuerRef: {kind: ClusterIssuer, name: internal}}`, []string{
		"- Certificate/tpa-ca", "- Issuer/tpa-ca", "- Issuer/tpa-selfsigned",
		"- " + certificate + "issuerRef.kind: Issuer", "+ " + certificate + "issuerRef.kind: ClusterIssuer",
		"- " + certificate + "issuerRef.name: tpa-ca", "+ " + certificate + "issuerRef.name: internal"}},
	{"an issuer of another group", `certManager: {issuerRef: {group: awspca.cert-manager.io, kind: AWSPCAClusterIssuer, name: tpa-ca}}`, []string{
		"- Certificate/tpa-ca", "- Issuer/tpa-ca", "- Issuer/tpa-selfsigned",
		"- " + certificate + "issuerRef.kind: Issuer", "+ " + certificate + "issuerRef.kind: AWSPCAClusterIssuer",
		"- " + certificate + "issuerRef.group: cert-manager.io", "+ " + certificate + "issuerRef.group: awspca.cert-manager.io"}},
	{"the certificate's life", `certManager: {duration: 48h, renewBefore: 24h}`, []string{
		"- " + certificate + "duration: 720h", "+ " + certificate + "duration: 48h",
		"- " + certificate + "renewBefore: 240h", "+ " + certificate + "renewBefore: 24h"}},
	{"a NetworkPolicy", `
networkPolicy:
  enabled: true
  apiServerCIDRs: [192.0.2.0/24, "2001:db8::/32"]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]`, []string{"+ NetworkPolicy/tpa-webhook"}},
	{"networks for a NetworkPolicy that is not there", `networkPolicy: {apiServerCIDRs: [192.0.2.0/24]}`, nil},
	{"patience", `uninstall: {wait: 20m}`, []string{
		"- " + hook + "spec.containers[0].args[4]: --wait=4m30s", "+ " + hook + "spec.containers[0].args[4]: --wait=20m"}},
}

// TestOptions: each value does what it says, and nothing else.
func TestOptions(t *testing.T) {
	for _, helm := range helms {
		before := rendered(t, helm, "")
		for _, o := range options {
			t.Run(helm+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				want, got := slices.Sorted(slices.Values(o.want)), difference(before, rendered(t, helm, o.values))
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestEachValueIsAnOption: each value in values.yaml is set by an option above.
func TestEachValueIsAnOption(t *testing.T) {
	set := map[string]bool{}
	var walk func(path string, value any, note func(string))
	walk = func(path string, value any, note func(string)) {
		if m, ok := value.(map[string]any); ok && len(m) > 0 {
			for key, member := range m {
				walk(path+"."+key, member, note)
			}
			return
		}
		note(path)
	}
	for _, o := range options {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(o.values), &v); err != nil {
			t.Fatal(err)
		}
		walk("", v, func(path string) {
			for i := range path { // an object of any keys is set by one of them
				if path[i] == '.' {
					set[path[:i]] = true
				}
			}
			set[path] = true
		})
	}
	walk("", values(t), func(path string) {
		if !set[path] {
			t.Errorf("no option sets %s", path)
		}
	})
}

// TestNetworkPolicy: the API server reaches the webhook's port, by default from anywhere, and the policy is about the
// webhook's pods.
func TestNetworkPolicy(t *testing.T) {
	for values, want := range map[string]map[string]string{
		`networkPolicy: {enabled: true}`: {
			"spec.ingress[0].ports[0].port": "webhook", "spec.ingress[1].ports[0].port": "metrics", "spec.ingress[2].ports[0].port": "health",
		},
		options[len(options)-3].values: {
			"spec.ingress[0].ports[0].port": "webhook", "spec.ingress[1].ports[0].port": "metrics", "spec.ingress[2].ports[0].port": "health",
			"spec.ingress[0].from[0].ipBlock.cidr": "192.0.2.0/24", "spec.ingress[0].from[1].ipBlock.cidr": "2001:db8::/32",
			"spec.ingress[1].from[0].namespaceSelector.matchLabels.kubernetes.io/metadata.name": "monitoring",
		},
	} {
		all := rendered(t, "helm4", values)
		want["spec.policyTypes[0]"] = "Ingress"
		for i := range 3 {
			want[fmt.Sprintf("spec.ingress[%d].ports[0].protocol", i)] = "TCP"
		}
		selector, _, _ := unstructured.NestedStringMap(all["Deployment/tpa-webhook"].Object, "spec", "selector", "matchLabels")
		for key, value := range selector {
			want["spec.podSelector.matchLabels."+key] = value
		}
		got := leaves(all["NetworkPolicy/tpa-webhook"])
		maps.DeleteFunc(got, func(path, _ string) bool { return !strings.HasPrefix(path, "spec.") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", values, diff)
		}
	}
}

// TestRefused: what is wrong is named, before anything reaches a cluster.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ values, where, why string }{
		{`replicas: 3`, "", "'replicas' not allowed"},
		{`webhook: {replica: 3}`, "/webhook", "'replica' not allowed"},
		{`webhook: {replicas: 0}`, "/webhook/replicas", "minimum"},
		{`webhook: {replicas: "2"}`, "/webhook/replicas", "want integer"},
		{`webhook: {resources: {request: {cpu: 1}}}`, "/webhook/resources", "'request' not allowed"},
		{`webhook: {resources: {limits: {memory: lots}}}`, "/webhook/resources/limits/memory", "'lots' does not match"},
		{`webhook: {affinity: {nodes: {}}}`, "/webhook/affinity", "'nodes' not allowed"},
		{`webhook: {nodeSelector: {a: 1}}`, "/webhook/nodeSelector/a", "want string"},
		{`webhook: {tolerations: [{key: a, operator: exists}]}`, "/webhook/tolerations/0/operator", "'Exists', 'Equal'"},
		{`webhook: {extraArgs: [zap-log-level=debug]}`, "/webhook/extraArgs/0", "'zap-log-level=debug' does not match"},
		{`webhook: {image: {digest: 0123}}`, "/webhook/image/digest", "want string"},
		{`webhook: {image: {repository: ""}}`, "/webhook/image/repository", "minLength"},
		{`image: {pullPolicy: Often}`, "/image/pullPolicy", "'IfNotPresent'"},
		{`image: {tag: "a b"}`, "/image/tag", "'a b' does not match"},
		{`image: {digest: "` + sha + `"}`, "/image", "'digest' not allowed"},
		{`imagePullSecrets: [{name: a}]`, "/imagePullSecrets/0", "want string"},
		{`proxy: {replicas: 2}`, "/proxy", "'replicas' not allowed"},
		{`proxy: {resources: {limits: {ephemeral-storage: 1Gi}}}`, "/proxy/resources/limits", "'ephemeral-storage' not allowed"},
		{`proxy: {tolerations: [{effect: Never}]}`, "/proxy/tolerations/0/effect", "'NoSchedule'"},
		{`proxy: {podLabels: {a: true}}`, "/proxy/podLabels/a", "want string"},
		{`proxy: {podAnnotations: [a=b]}`, "/proxy/podAnnotations", "want object"},
		{`proxy: {priorityClassName: Very_High}`, "/proxy/priorityClassName", "'Very_High' does not match"},
		{`namespaceSelector: {matchLabels: {a: b}}`, "/namespaceSelector", "want array"},
		{`namespaceSelector: [{key: a, operator: Is}]`, "/namespaceSelector/0/operator", "'NotIn'"},
		{`namespaceSelector: [{key: a, operator: In}]`, "/namespaceSelector/0", "'values'"},
		{`namespaceSelector: [{key: a, operator: Exists, values: [b]}]`, "/namespaceSelector/0/values", "maxItems"},
		{`timing: {settleTime: 10 minutes}`, "/timing/settleTime", "'10 minutes' does not match"},
		{`timing: {settleTime: 600}`, "/timing/settleTime", "want string"},
		{`timing: {settletime: 10m}`, "/timing", "'settletime' not allowed"},
		{`certManager: {issuerRef: {kind: ClusterIssuer}}`, "/certManager/issuerRef", "'name'"},
		{`certManager: {duration: 30d}`, "/certManager/duration", "'30d' does not match"},
		{`statusPage: {enabled: "yes"}`, "/statusPage/enabled", "want boolean"},
		{`statusPage: {address: ":8082"}`, "/statusPage", "'address' not allowed"},
		{`networkPolicy: {enabled: "yes"}`, "/networkPolicy/enabled", "want boolean"},
		{`networkPolicy: {apiServerCIDRs: [192.0.2.1]}`, "/networkPolicy/apiServerCIDRs/0", "'192.0.2.1' does not match"},
		{`networkPolicy: {metricsFrom: [{}]}`, "/networkPolicy/metricsFrom/0", "minProperties"},
		{`uninstall: {wait: ""}`, "/uninstall/wait", "'' does not match"},
	} {
		t.Run(tt.values, func(t *testing.T) {
			t.Parallel()
			for _, helm := range helms {
				_, err := template(t, helm, namespace, tt.values)
				if err == nil || !strings.Contains(err.Error(), "at '"+tt.where+"'") || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("%s: %v\nwant %s: %s", helm, err, tt.where, tt.why)
				}
			}
		})
	}
}
