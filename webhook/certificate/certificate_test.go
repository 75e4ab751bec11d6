package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/util/cert"
)

func TestExpiry(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tls.crt")
	var errs []error
	c := NewCollector(dir, func(err error) { errs = append(errs, err) })
	chain, _, err := cert.GenerateSelfSignedCertKey("tpa-webhook", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if n := testutil.CollectAndCount(c); n != 0 || len(errs) != 1 {
		t.Errorf("%d samples, errors %v without a file, want none and one", n, errs)
	}
	for _, bad := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: block.Bytes})),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))} {
		errs = nil
		write([]byte(bad))
		if n := testutil.CollectAndCount(c); n != 0 || len(errs) != 1 {
			t.Errorf("%d samples, errors %v of %q, want none and one", n, errs, bad)
		}
	}
	errs = nil
	write(chain)
	if got := testutil.ToFloat64(c); got != float64(leaf.NotAfter.Unix()) || errs != nil {
		t.Errorf("%g, errors %v, want %s", got, errs, leaf.NotAfter)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
