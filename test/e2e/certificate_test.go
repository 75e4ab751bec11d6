//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

const (
	rootSecret, leafSecret = "tpa-ca", "tpa-webhook-tls"
	// kubeletDelay is how long a kubelet may take to bring a changed Secret into a volume, and more.
	kubeletDelay = 3 * time.Minute
)

// TestCertificate rotates the webhook's certificate while Services are created and edited all the time: the root is
// renewed, the leaf is renewed with it, then the leaf's Secret is lost. For about a minute after each the API server
// trusts the new root already and the replicas show the old leaf. No write fails.
func TestCertificate(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	f.start(app, time.Hour)
	writers := f.write(app, 4)
	f.wait("writes to be carried out", writers.succeed(100))
	root, leaf := f.secret(rootSecret), f.secret(leafSecret)
	f.showsEverywhere(leaf.Data[corev1.TLSCertKey])

	f.renew("tpa-ca")
	f.secretOtherThan(root)
	f.renew("tpa-webhook")
	renewed := f.secretOtherThan(leaf)
	if bytes.Equal(renewed.Data["ca.crt"], root.Data["ca.crt"]) {
		t.Fatal("the leaf was renewed, but not by the new root")
	}
	f.wait("the API server to be told of the new root", func(ctx context.Context) (bool, string) {
		// The injector of the test cluster reads Secrets from a cache that may be behind the news of a change.
		if err := cluster.Patch(ctx, renewed, merge("annotations", "example.com/look", "again at "+time.Now().String())); err != nil {
			return false, err.Error()
		}
		var config admissionv1.MutatingWebhookConfiguration
		if err := cluster.Get(ctx, client.ObjectKey{Name: "tpa"}, &config); err != nil {
			return false, err.Error()
		}
		for _, webhook := range config.Webhooks {
			if !bytes.Equal(webhook.ClientConfig.CABundle, renewed.Data["ca.crt"]) {
				return false, webhook.Name + " has another"
			}
		}
		return true, ""
	})
	if shows, _ := f.shows(f.ctx, leaf.Data[corev1.TLSCertKey]); shows == 0 {
		t.Error("no replica shows the old certificate any more: this says nothing about the time in between")
	}
	f.wait("writes to be carried out with the new root and the old leaf", writers.succeed(200))

	f.must(cluster.Delete(f.ctx, renewed))
	again := f.secretOtherThan(renewed)
	start := time.Now()
	f.showsEverywhere(again.Data[corev1.TLSCertKey])
	t.Logf("all replicas show the new certificate %.0fs after it was issued", time.Since(start).Seconds())
	f.wait("writes to be carried out with the new leaf", writers.succeed(200))
	tally := writers.Stop()
	t.Logf("root and leaf renewed, leaf lost: %s", tally)
	if tally.Refused+tally.Other > 0 {
		t.Errorf("writes failed: %s", tally)
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

// showsEverywhere waits until each replica of the webhook shows a certificate to who calls it.
func (f *fixture) showsEverywhere(certificate []byte) {
	f.Helper()
	f.must(kit.Wait(f.ctx, kubeletDelay, "each replica to show the certificate", func(ctx context.Context) (bool, string) {
		shows, all := f.shows(ctx, certificate)
		return shows == all && all > 0, fmt.Sprintf("%d of %d do", shows, all)
	}))
}

// shows counts the replicas that show a certificate, and all.
func (f *fixture) shows(ctx context.Context, certificate []byte) (shows, all int) {
	f.Helper()
	block, _ := pem.Decode(certificate)
	var pods corev1.PodList
	f.must(cluster.List(ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels))
	for _, pod := range pods.Items {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // which one it is, is the question
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, "9443"))
		f.must(err)
		if bytes.Equal(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw, block.Bytes) {
			shows++
		}
		conn.Close()
	}
	return shows, len(pods.Items)
}
