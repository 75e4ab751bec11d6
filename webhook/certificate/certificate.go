// Package certificate tells when the webhook's certificate expires. cert-manager renews it long before; when that fails, somebody
// should hear of it while there is time.
package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var expiryDesc = prometheus.NewDesc("tpa_webhook_certificate_expiry_timestamp_seconds",
	"When the certificate that the API server is to trust expires, in Unix time. Missing if it cannot be read.", nil, nil)

// collector reads the certificate whenever it is asked, so that it tells of the one that is there now.
type collector struct {
	file    string
	onError func(error)
}

// NewCollector returns tpa_webhook_certificate_expiry_timestamp_seconds of the tls.crt in a folder. onError is called for each
// attempt to read it that fails.
func NewCollector(dir string, onError func(error)) prometheus.Collector {
	return collector{filepath.Join(dir, "tls.crt"), onError}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- expiryDesc }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	expires, err := expiry(c.file)
	if err != nil {
		c.onError(err)
		return
	}
	ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(expires.Unix()))
}

// expiry is that of the first certificate of a file: the leaf.
func expiry(file string) (time.Time, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return time.Time{}, fmt.Errorf("read the certificate: %s: %w", file, errors.New("no certificate in it"))
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the certificate: %s: %w", file, err)
	}
	return leaf.NotAfter, nil
}
