package check

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
)

// secretName is where the webhook's certificate is.
const secretName = "tpa-webhook-tls"

// warnBefore is how long before its end a certificate should have been renewed.
const warnBefore = 5 * 24 * time.Hour

func certificate(ctx context.Context, o Options) []Line {
	certificates := schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}
	got, err := o.Client.Dynamic.Resource(certificates).Namespace(o.Namespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err == nil {
		ready, ends := certificateStatus(got)
		return []Line{judge(ready, ends, time.Now(), o.Namespace)}
	}
	ends, err2 := secretEnds(ctx, o)
	switch {
	case err2 == nil:
		return []Line{judge("", ends, time.Now(), o.Namespace)}
	case apierrors.IsForbidden(err):
		return []Line{note("ask for the right to read it", "the webhook's certificate: %v", err)}
	}
	return []Line{bad("install TPA again", "the webhook's certificate: %v", err)}
}

// certificateStatus reads a Certificate of cert-manager: why it is not ready, and when it ends.
func certificateStatus(c *unstructured.Unstructured) (unready string, ends time.Time) {
	unready = "cert-manager has not looked at it yet"
	conditions, _, _ := unstructured.NestedSlice(c.Object, "status", "conditions") // what has another form says nothing
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] != "Ready" {
			continue
		}
		if unready = ""; condition["status"] != "True" {
			unready = fmt.Sprint(condition["message"])
		}
	}
	text, _, _ := unstructured.NestedString(c.Object, "status", "notAfter")
	ends, _ = time.Parse(time.RFC3339, text) // the zero time: not issued yet
	return unready, ends
}

// judge judges a certificate by why it is not ready, empty if it is, and when it ends.
func judge(unready string, ends, now time.Time, namespace string) Line {
	look := fmt.Sprintf("kubectl describe certificate %s -n %s", webhookName, namespace)
	left := ends.Sub(now)
	switch {
	case unready != "":
		return bad(look, "the webhook's certificate is not ready: %s", unready)
	case ends.IsZero():
		return bad(look, "the webhook's certificate has not been issued")
	case left <= 0:
		return bad(look, "the webhook's certificate has ended on %s", ends.UTC().Format(time.RFC3339))
	case left < warnBefore:
		return note(look, "the webhook's certificate ends in %s and has not been renewed", duration.HumanDuration(left))
	}
	return good("the webhook's certificate is good for %s", duration.HumanDuration(left))
}

// secretEnds reads from the Secret when the certificate ends.
func secretEnds(ctx context.Context, o Options) (time.Time, error) {
	secret, err := o.Client.CoreV1().Secrets(o.Namespace).Get(ctx, secretName, metav1.GetOptions{})
	if err != nil {
		return time.Time{}, err
	}
	block, _ := pem.Decode(secret.Data["tls.crt"])
	if block == nil {
		return time.Time{}, fmt.Errorf("secret %s has no certificate", secretName)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("secret %s: %w", secretName, err)
	}
	return leaf.NotAfter, nil
}
