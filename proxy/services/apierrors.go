package services

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// noAnswer is the code of a request to the API server that got none.
const noAnswer = "none"

// apiErrors counts the requests to the API server that it has not answered, or refused. Not those answers that proxies reckon
// with: that something is not there, or was changed by somebody else.
type apiErrors struct{ byCode *prometheus.CounterVec }

func newAPIErrors(namespace string) apiErrors {
	return apiErrors{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tpa_api_errors_total",
		Help: "Requests to the API server that failed, by the HTTP status of the answer; none if there was no answer. " +
			"404 and 409, which are part of the protocol, do not count.",
		ConstLabels: prometheus.Labels{"namespace": namespace},
	}, []string{"code"})}
}

// wrap has a transport's requests counted. It fits rest.Config's Wrap.
func (e apiErrors) wrap(next http.RoundTripper) http.RoundTripper { return counting{e, next} }

type counting struct {
	errors apiErrors
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. A request that this process itself gave up on is no error.
func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		c.errors.byCode.WithLabelValues(noAnswer).Inc()
	case err == nil && failed(response.StatusCode):
		c.errors.byCode.WithLabelValues(strconv.Itoa(response.StatusCode)).Inc()
	}
	return response, err
}

func failed(code int) bool {
	return code >= http.StatusBadRequest && code != http.StatusNotFound && code != http.StatusConflict
}

// WrappedRoundTripper lets client-go find the transport underneath.
func (c counting) WrappedRoundTripper() http.RoundTripper { return c.next }
