package admission

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func TestAnswersAreCounted(t *testing.T) {
	for want, answer := range map[string]admission.Response{
		"allowed": admission.Allowed(""),
		"denied":  admission.Denied("no"),
		"error":   admission.Errored(http.StatusInternalServerError, errors.New("the API server does not answer")),
	} {
		c := NewCounted(admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return answer }))
		got := c.Handle(t.Context(), admission.Request{})
		if got.Allowed != answer.Allowed {
			t.Errorf("%s: the answer is another one", want)
		}
		for _, result := range []string{"allowed", "denied", "error"} {
			n := testutil.ToFloat64(c.WithLabelValues(result))
			if (n == 1) != (result == want) {
				t.Errorf("%s: counted %g as %s", want, n, result)
			}
		}
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	}
}
