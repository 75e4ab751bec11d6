package admission

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Counted is a Handler whose answers are counted, as tpa_admission_requests_total. It is a prometheus.Collector.
type Counted struct {
	admission.Handler
	*prometheus.CounterVec
}

// NewCounted returns a Handler that counts another's answers.
func NewCounted(h admission.Handler) Counted {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tpa_admission_requests_total",
		Help: "Services that were reviewed, by result: allowed (changed where need be), denied (with a reason for the person), " +
			"error (the API server was asked something and did not answer).",
	}, []string{"result"})
	for _, result := range []string{"allowed", "denied", "error"} {
		answers.WithLabelValues(result)
	}
	return Counted{h, answers}
}

// Handle implements admission.Handler.
func (c Counted) Handle(ctx context.Context, req admission.Request) admission.Response {
	response := c.Handler.Handle(ctx, req)
	c.WithLabelValues(result(response)).Inc()
	return response
}

func result(r admission.Response) string {
	switch {
	case r.Allowed:
		return "allowed"
	case r.Result != nil && r.Result.Code >= http.StatusInternalServerError:
		return "error"
	}
	return "denied"
}
