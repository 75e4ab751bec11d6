package docs

import (
	"slices"
	"strings"
)

// Run says who runs a command; one field is set.
type Run struct {
	// Test is a test that does, by folder and name: "test/truth.TestHelmPage".
	Test string
	// Part is what .github/workflows passes to make.
	Part string
	// API: a step of Walk that TestWalk beside this package runs on an API server, and TestWalk of test/e2e on a cluster;
	// Cluster: only the latter.
	API, Cluster bool
	// Why nobody does.
	Why string
}

// By is who runs the command, nil if nobody.
func By(c Command) *Run {
	if run, ok := table[c.Text]; ok {
		return &run
	}
	words := strings.Fields(c.Text)
	if words[0] == "make" && len(words) > 1 {
		if run, ok := targets[words[1]]; ok {
			return &run
		}
	}
	if words[0] == "go" && len(words) > 1 && words[1] == "test" && !slices.Contains(words, "-bench") {
		return &Run{Part: "unit"} // which runs all that there are; TestGoTest says whether there are any
	}
	return nil
}

// targets are those of the Makefile that the documents name, with whatever variables.
var targets = map[string]Run{
	"test":          {Part: "lint"}, // and the three below, side by side
	"lint":          {Part: "lint"},
	"unit":          {Part: "unit"},
	"integration":   {Part: "integration"},
	"browser":       {Part: "integration"}, // which ends with it
	"e2e":           {Part: "e2e"},
	"demo":          {Part: "demo"}, // which also draws
	"model":         {Part: "model"},
	"soak":          {Part: "soak"},
	"soak-faults":   {Part: "soak-faults"},
	"bench":         {Part: "bench"},
	"bench-check":   {Part: "bench-check"},
	"bench-size":    {Part: "bench-size"},
	"bench-wake":    {Part: "bench-wake"},
	"bench-budget":  {Part: "bench-budget"},
	"bench-rest":    {Part: "bench-rest"},
	"release":       {Part: "release"},
	"release-check": {Part: "release-check"},
	"install.yaml":  {Test: "test/install.TestInstallYAML"},
	"chart":         {Test: "test/install.TestPackage"},
	"images-arch":   {Part: "release"},
	"deploy":        {Test: "test/docs.TestDeploy"},
	"undeploy":      {Test: "test/e2e.TestUndeploy"},
	"cluster-up":    {Part: "e2e"}, // bin/cluster up --nodes 2, by test/images/deploy.sh
	"cluster-down":  {Part: "e2e"},
}

// table has every other command by its exact text.
var table = map[string]Run{
	"kubectl label namespace shop tpa.dev/inject=enabled":                                         {API: true},
	"kubectl annotate service web tpa.dev/target=deployment/web tpa.dev/idle-timeout=10m -n shop": {API: true},
	"kubectl annotate namespace shop tpa.dev/mode=observe":                                        {API: true},
	"kubectl annotate namespace shop tpa.dev/mode-":                                               {API: true},
	"kubectl events --for service/web":                                                            {API: true},
	"bin/cluster kubectl get pods -A":                                                             {Cluster: true},
	"bin/cluster help":                                                                            {Cluster: true},
	"helm upgrade --install web . --namespace shop":                                               {Test: "test/truth.TestHelmPage"},
	"helm upgrade web . --namespace shop --set service.targetPort=8080":                           {Test: "test/truth.TestHelmPage"},
	"helm rollback web --namespace shop":                                                          {Test: "test/truth.TestHelmPage"},
	"helm upgrade web . --namespace shop --set service.annotations=null":                          {Test: "test/truth.TestHelmPage"},
	"sha256sum --check --ignore-missing SHA256SUMS":                                               {Part: "release"},
	".github/in-debian.sh make test":                                                              {Part: "lint"}, // each part is run by it
	"docker build -f Dockerfile.webhook -t registry.example.com/team/tpa-webhook:dev .":           {Why: dockerfiles},
	"docker build -f Dockerfile.proxy -t registry.example.com/team/tpa-proxy:dev .":               {Why: dockerfiles},
	"docker push registry.example.com/team/tpa-webhook:dev":                                       {Why: "needs a registry of one's own"},
	"docker push registry.example.com/team/tpa-proxy:dev":                                         {Why: "needs a registry of one's own"},
	"bin/bench --proxy=old=/tmp/proxy --proxy=new=bin/proxy":                                      {Why: "compares with a build that only its reader has; TestFlags knows its flags"},
	"go test ./proxy/services -run none -bench Adopt":                                             {Why: "a measurement; TestGoTest says that it is there"},
	"helm install tpa manifests/chart -n tpa-system --create-namespace --wait --set image.registry=registry.example.com/team,image.tag=dev": {Test: "test/e2e.TestUpgrade"},
	"helm uninstall tpa -n tpa-system": {Test: "test/install.TestPage"},
	"helm uninstall":                   {Test: "test/e2e.TestUpgrade"},
	"helm upgrade":                     {Test: "test/e2e.TestUpgrade"},
	"helm rollback":                    {Test: "test/e2e.TestUpgrade"},
	"helm install tpa manifests/chart --namespace tpa-system --create-namespace --set image.registry=registry.example.com/team --set image.tag=dev": {Test: "test/install.TestPage"},
	"kubectl label namespace tpa-system pod-security.kubernetes.io/enforce=restricted":                                                              {Test: "test/install.TestPage"},
	"helm uninstall tpa --namespace tpa-system":                                                   {Test: "test/install.TestPage"},
	"helm push bin/chart/tpa-*.tgz oci://registry.example.com/charts":                             {Why: "needs a registry of one's own"},
	"helm upgrade tpa manifests/chart -n tpa-system --reuse-values --set statusPage.enabled=true": {Test: "test/install.TestStatusPage"},
	"kubectl port-forward -n tpa-system deployment/tpa-webhook 8082":                              {Why: "needs a kubelet; test/install.TestStatusPage reads the page at the address that it forwards to"},
	"kubectl port-forward":                                           {Why: "the same, for short"},
	"make dashboard-picture":                                         {Part: "dashboard-picture"},
	"kubectl apply -k manifests/monitoring":                          {Test: "manifests.TestMonitoringBuilds"},
	"make bin/kubectl-tpa && install bin/kubectl-tpa /usr/local/bin": {Part: "release"},
	"kubectl tpa":                        {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa status":                 {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa status -n shop":         {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa explain web -n shop":    {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa explain web":            {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa status -o wide -n shop": {Test: "cmd/kubectl-tpa/internal/command.TestStatus"},
	"kubectl tpa sleep web --wait":       {Test: "cmd/kubectl-tpa/internal/command.TestSleep"},
	"kubectl tpa pause web":              {Test: "cmd/kubectl-tpa/internal/command.TestPauseAndResume"},
	"kubectl tpa sleep":                  {Test: "cmd/kubectl-tpa/internal/command.TestSleep"},
	"kubectl tpa pause":                  {Test: "cmd/kubectl-tpa/internal/command.TestPauseAndResume"},
	"kubectl tpa wake web --wait":        {Test: "cmd/kubectl-tpa/internal/command.TestWake"},
	"kubectl tpa check":                  {Test: "cmd/kubectl-tpa/internal/command.TestCheck"},
	"kubectl tpa uninstall":              {Test: "cmd/kubectl-tpa/internal/command.TestUninstall"},
	"kubectl tpa version":                {Test: "cmd/kubectl-tpa/internal/command.TestCheck"},
	"kubectl tpa completion --help":      {Test: "cmd/kubectl-tpa/internal/command.TestCompletion"},

	"kubectl annotate service web tpa.dev/target- -n shop":                                                                                {Test: "test/docs.TestOptOut"},
	"kubectl label namespace shop tpa.dev/inject-":                                                                                        {Test: "test/docs.TestOptOut"},
	"kubectl apply -n shop -f manifests/samples/networkpolicies.yaml":                                                                     {Test: "test/docs.TestNetworkPolicies"},
	"kubectl delete mutatingwebhookconfiguration tpa":                                                                                     {Test: "test/docs.TestByHand"},
	"kubectl get services -A -l tpa.dev/managed=true":                                                                                     {Test: "test/docs.TestByHand"},
	`kubectl get lease tpa-deployments-web -n shop -o jsonpath='{.metadata.annotations.tpa\.dev/state}'`:                                  {Test: "test/docs.TestByHand"},
	"kubectl scale deployment web -n shop --replicas=2":                                                                                   {Test: "test/docs.TestByHand"},
	`kubectl get service web -n shop -o jsonpath='{.metadata.annotations.tpa\.dev/original}'`:                                             {Test: "test/docs.TestByHand"},
	`kubectl patch service web -n shop -p '{"spec":{"selector":{"$patch":"replace","app":"web"},"ports":[{"port":80,"targetPort":80}]}}'`: {Test: "test/docs.TestByHand"},
	"kubectl annotate service web -n shop tpa.dev/phase- tpa.dev/ports- tpa.dev/original-":                                                {Test: "test/docs.TestByHand"},
	"kubectl label service web -n shop tpa.dev/managed-":                                                                                  {Test: "test/docs.TestByHand"},
	"kubectl delete deployment,poddisruptionbudget,rolebinding,serviceaccount tpa-proxy -n shop":                                          {Test: "test/docs.TestByHand"},
	"kubectl delete leases -n shop -l tpa.dev/lease":                                                                                      {Test: "test/docs.TestByHand"},

	// Clients, named for what they send.
	"kubectl apply":               {Test: "test/truth.TestTruth"},
	"kubectl apply --server-side": {Test: "test/truth.TestTruth"},
	"kubectl create":              {Test: "test/truth.TestCreatedThenApplied"},
	"kubectl replace":             {Test: "test/truth.TestTruth"},
	"kubectl edit":                {Test: "test/truth.TestTruth"},
	"kubectl patch":               {Test: "test/truth.TestTruth"},
	"kubectl annotate":            {API: true}, // with what it annotates, see above,
	"kubectl get service":         {API: true},
	"helm get manifest":           {Why: "what Helm keeps for itself; TPA has no part in it"},
}

const dockerfiles = "needs Docker; `make images`, which the end-to-end tests begin with, builds the same files with buildah"

// Walk are the commands that a reader runs on a cluster with TPA, in this order; a namespace shop with a Service and a
// Deployment web is there. Those of the API server also run on one without nodes.
var Walk = []string{
	"kubectl label namespace shop tpa.dev/inject=enabled",
	"kubectl annotate service web tpa.dev/target=deployment/web tpa.dev/idle-timeout=10m -n shop",
	"kubectl annotate namespace shop tpa.dev/mode=observe",
	"kubectl annotate namespace shop tpa.dev/mode-",
	"kubectl get service",
	"kubectl events --for service/web",
	"bin/cluster kubectl get pods -A",
	"bin/cluster help",
}
