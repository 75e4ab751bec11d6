package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"
)

// api is the little of a Kubernetes client that the harness needs, over connections
// that are opened inside node 1.
type api struct {
	http *http.Client
}

// newAPI logs in with the cluster's kubeconfig, which has the form that this program
// gives it.
func newAPI(c *cluster) (*api, error) {
	config, err := os.ReadFile(c.kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("API client: %w", err)
	}
	field := func(name string) []byte {
		found := regexp.MustCompile(name + `: (\S+)`).FindSubmatch(config)
		if found == nil {
			return nil
		}
		data, _ := base64.StdEncoding.DecodeString(string(found[1]))
		return data
	}
	pair, err := tls.X509KeyPair(field("client-certificate-data"), field("client-key-data"))
	if err != nil {
		return nil, fmt.Errorf("API client: %s: %w", c.kubeconfig(), err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(field("certificate-authority-data"))
	return &api{&http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext:       func(_ context.Context, _, addr string) (net.Conn, error) { return dialFrom(1, addr) },
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
			ForceAttemptHTTP2: true,
		},
	}}, nil
}

// dialFrom connects to a numeric address from inside node n.
func dialFrom(n int, addr string) (conn net.Conn, err error) {
	err = inNetns(nodeNetns(n), func() (err error) {
		conn, err = net.DialTimeout("tcp", addr, time.Second)
		return err
	})
	return conn, err
}

func (a *api) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, apiURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, data)
	}
	return data, nil
}

func (a *api) ready(ctx context.Context) error {
	_, err := a.do(ctx, "GET", "/readyz", "", nil)
	return err
}

func (a *api) exists(ctx context.Context, path string) error {
	_, err := a.do(ctx, "GET", path, "", nil)
	return err
}

// apply is a server-side apply of one object in YAML.
func (a *api) apply(ctx context.Context, path string, object []byte) error {
	_, err := a.do(ctx, "PATCH", path+"?fieldManager=tpa-cluster&force=true", "application/apply-patch+yaml", object)
	return err
}

// condition returns nil if the object's status has this condition with status True.
func (a *api) condition(ctx context.Context, path, kind string) error {
	data, err := a.do(ctx, "GET", path, "", nil)
	if err != nil {
		return err
	}
	return hasCondition(data, kind)
}

func hasCondition(object []byte, kind string) error {
	var o struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return err
	}
	for _, c := range o.Status.Conditions {
		if c.Type == kind {
			if c.Status == "True" {
				return nil
			}
			return fmt.Errorf("not %s: %s", kind, c.Message)
		}
	}
	return errors.New("not " + kind + " yet")
}
