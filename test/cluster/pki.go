package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// authority is the cluster's one CA: for the API server's certificate, for everyone
// who logs in to it, and for its own login at the kubelets.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "tpa-cluster-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	valid(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// issue makes a certificate that serves both as client (user and group) and, with
// hosts, as server.
func (a *authority) issue(user, group string, hosts ...string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: user},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	valid(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = encodeKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}

// valid sets what all certificates share. An hour of grace for a clock that was set
// back; a year, which no cluster without reboot reaches.
func valid(template *x509.Certificate) {
	template.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// writePKI makes every certificate and kubeconfig of the cluster. Each component logs
// in as the user that Kubernetes' own RBAC expects, so that a missing right shows.
func (c *cluster) writePKI(nodes int) error {
	if err := os.MkdirAll(c.path("pki"), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	accounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	accountsKey, err := encodeKey(accounts)
	if err != nil {
		return err
	}
	accountsPublic, err := x509.MarshalPKIXPublicKey(&accounts.PublicKey)
	if err != nil {
		return err
	}
	caKey, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	server, serverKey, err := ca.issue("kube-apiserver", "", nodeIP(1), apiClusterIP, "127.0.0.1", "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	client, clientKey, err := ca.issue("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"pki/ca.crt": ca.pem, "pki/ca.key": caKey, "pki/accounts.key": accountsKey,
		"pki/accounts.pub":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: accountsPublic}),
		"pki/apiserver.crt": server, "pki/apiserver.key": serverKey,
		"pki/kubelet-client.crt": client, "pki/kubelet-client.key": clientKey,
	}
	users := map[string][2]string{
		"kubeconfig":                             {"admin", "system:masters"},
		"pki/cert-manager.kubeconfig":            {"cert-manager", "system:masters"},
		"pki/kube-controller-manager.kubeconfig": {"system:kube-controller-manager", ""},
		"pki/kube-scheduler.kubeconfig":          {"system:kube-scheduler", ""},
		"pki/kube-proxy.kubeconfig":              {"system:kube-proxy", ""},
	}
	for n := 1; n <= nodes; n++ {
		users["pki/"+nodeName(n)+".kubeconfig"] = [2]string{"system:node:" + nodeName(n), "system:nodes"}
	}
	for file, user := range users {
		cert, key, err := ca.issue(user[0], user[1])
		if err != nil {
			return err
		}
		files[file] = kubeconfig(ca.pem, cert, key)
	}
	for file, data := range files {
		if err := os.WriteFile(c.path(file), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func kubeconfig(ca, cert, key []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: tpa
contexts:
- name: tpa
  context: {cluster: tpa, user: tpa}
clusters:
- name: tpa
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: tpa
  user:
    client-certificate-data: %s
    client-key-data: %s
`, apiURL, encode(ca), encode(cert), encode(key))
}
