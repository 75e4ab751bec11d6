package admission

import (
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/kube"
)

// New returns a Handler that asks the API server of a configuration. self is the user name of TPA's own ServiceAccount.
func New(config *rest.Config, httpClient *http.Client, mapper meta.RESTMapper, self string) (*Handler, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // whoever waits for admission has a limit of their own already
	clients, err := kubernetes.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("set up the client for access reviews: %w", err)
	}
	targets, err := kube.New(config)
	if err != nil {
		return nil, fmt.Errorf("set up the client for targets: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("set up the client for rivals: %w", err)
	}
	return &Handler{
		Self:    self,
		Reviews: clients.AuthorizationV1().SubjectAccessReviews(),
		Rivals:  RivalsByList(objects, mapper),
		Exists:  ExistsByScale(targets.Scales),
	}, nil
}
