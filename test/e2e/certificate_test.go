//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

const (
	rootSecret, leafSecret = "tpa-ca", "tpa-webhook-tls"
	// kubeletDelay is how long a kubelet may take to bring a changed Secret into a volume, and more.
	kubeletDelay = 3 * time.Minute
)

// TestCertificate rotates the webhook's certificate while Services are created and edited all the time: root and leaf are
// renewed, then both are lost, keys and all. For about a minute after each the API server has been told of the new root
// and the replicas show the old leaf. No write fails.
func TestCertificate(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	f.start(app, time.Hour)
	writers := f.write(app, 4)
	f.wait("writes to be carried out", writers.succeed(100))
	root, leaf := f.secret(rootSecret), f.secret(leafSecret)
	f.showsEverywhere(leaf)

	for _, rotation := range []struct {
		name   string
		rotate func(certificate string, secret *corev1.Secret)
	}{
		{"renewed", func(certificate string, _ *corev1.Secret) { f.renew(certificate) }},
		{"lost", func(_ string, secret *corev1.Secret) { f.must(cluster.Delete(f.ctx, secret)) }},
	} {
		rotation.rotate("tpa-ca", f.secret(rootSecret))
		newRoot := f.secretOtherThan(root)
		if rotation.name == "renewed" {
			// An injector that keeps no old root does no harm then.
			f.must(verify(leaf, newRoot))
		}
		rotation.rotate("tpa-webhook", f.secret(leafSecret))
		newLeaf := f.secretOtherThan(leaf)
		f.must(verify(newLeaf, newRoot))
		f.wait("the API server to be told of the new root", told(newRoot))
		if shown, all := f.shown(f.ctx, newLeaf); shown == all {
			t.Errorf("%s: every replica shows the new leaf already: this says nothing about the time in between", rotation.name)
		}
		f.wait("writes to be carried out with the new root and the old leaf", writers.succeed(200))
		root, leaf = newRoot, newLeaf
	}
	start := time.Now()
	f.showsEverywhere(leaf)
	t.Logf("all replicas show the new leaf %.0fs after it was issued", time.Since(start).Seconds())
	f.wait("writes to be carried out with the new leaf", writers.succeed(200))
	tally := writers.Stop()
	t.Logf("root and leaf renewed, then lost: %s", tally)
	if tally.Refused+tally.Other > 0 {
		t.Errorf("writes failed: %s", tally)
	}
}

// certificate is the one that a Secret holds.
func certificate(s *corev1.Secret) (*x509.Certificate, error) {
	block, _ := pem.Decode(s.Data[corev1.TLSCertKey])
	if block == nil {
		return nil, fmt.Errorf("secret %s holds no certificate", s.Name)
	}
	return x509.ParseCertificate(block.Bytes)
}

// verify verifies a leaf by a root alone.
func verify(leaf, root *corev1.Secret) error {
	l, err := certificate(leaf)
	if err != nil {
		return err
	}
	r, err := certificate(root)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(r)
	_, err = l.Verify(x509.VerifyOptions{Roots: roots, DNSName: "tpa-webhook." + kit.SystemNamespace + ".svc"})
	return err
}

// told looks whether the API server trusts a root when it calls the webhook.
func told(root *corev1.Secret) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		var config admissionv1.MutatingWebhookConfiguration
		if err := cluster.Get(ctx, client.ObjectKey{Name: "tpa"}, &config); err != nil {
			return false, err.Error()
		}
		want, err := certificate(root)
		if err != nil {
			return false, err.Error()
		}
		for _, webhook := range config.Webhooks {
			bundle, err := cert.ParseCertsPEM(webhook.ClientConfig.CABundle)
			if err != nil || !slices.ContainsFunc(bundle, want.Equal) {
				return false, fmt.Sprintf("%s has %d others, %v", webhook.Name, len(bundle), err)
			}
		}
		return true, ""
	}
}

// renew does what `cmctl renew` does.
func (f *fixture) renew(certificate string) {
	f.Helper()
	condition := fmt.Sprintf(`{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"renewed by a test",`+
		`"lastTransitionTime":%q}`, time.Now().UTC().Format(time.RFC3339))
	_, err := cluster.Kubectl(f.ctx, "", "-n", kit.SystemNamespace, "patch", "certificate", certificate, "--subresource=status",
		"--type=json", "-p", `[{"op":"add","path":"/status/conditions/-","value":`+condition+`}]`)
	f.must(err)
}

func (f *fixture) secret(name string) *corev1.Secret {
	f.Helper()
	var s corev1.Secret
	f.must(cluster.Get(f.ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: name}, &s))
	return &s
}

// secretOtherThan waits until a Secret holds another certificate than before.
func (f *fixture) secretOtherThan(before *corev1.Secret) *corev1.Secret {
	f.Helper()
	var s corev1.Secret
	f.wait("another certificate in secret "+before.Name, func(ctx context.Context) (bool, string) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(before), &s)
		if apierrors.IsNotFound(err) {
			return false, "no secret"
		}
		crt := s.Data[corev1.TLSCertKey]
		return err == nil && len(crt) > 0 && !bytes.Equal(crt, before.Data[corev1.TLSCertKey]), fmt.Sprint("the same, ", err)
	})
	return &s
}

// showsEverywhere waits until each replica of the webhook shows a leaf to who calls it.
func (f *fixture) showsEverywhere(leaf *corev1.Secret) {
	f.Helper()
	f.must(kit.Wait(f.ctx, kubeletDelay, "each replica to show the leaf", func(ctx context.Context) (bool, string) {
		shown, all := f.shown(ctx, leaf)
		return shown == all && all > 0, fmt.Sprintf("%d of %d do", shown, all)
	}))
}

// shown counts the replicas that show a leaf, and all.
func (f *fixture) shown(ctx context.Context, leaf *corev1.Secret) (shown, all int) {
	f.Helper()
	want, err := certificate(leaf)
	f.must(err)
	var pods corev1.PodList
	f.must(cluster.List(ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels))
	for _, pod := range pods.Items {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // which one it is, is the question
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, "9443"))
		f.must(err)
		if conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Equal(want) {
			shown++
		}
		conn.Close()
	}
	return shown, len(pods.Items)
}
