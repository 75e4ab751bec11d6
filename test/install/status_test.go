//go:build integration

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tpa.dev/tpa/proxy/contract"
)

// TestStatusComponent: the base with the component is the base with one more flag, that of the chart.
func TestStatusComponent(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "overlays", "mine")
	must(t, errors.Join(os.CopyFS(dir, os.DirFS("../../manifests")), os.Mkdir(mine, 0o755), os.WriteFile(filepath.Join(mine, "kustomization.yaml"),
		[]byte("resources: [../../base]\ncomponents: [../../components/status-page]\n"), 0o600)))
	text, err := output(t, "", client("kubectl"), "kustomize", mine)
	must(t, err)
	want := difference(rendered(t, "helm4", ""), rendered(t, "helm4", `statusPage: {enabled: true}`))
	if diff := cmp.Diff(want, difference(base(t), parse(t, text))); diff != "" || len(want) != 1 {
		t.Errorf("(-chart +component):\n%s", diff)
	}
}

// TestStatusPage: a release turns it on, and the webhook's own rights are enough to read what it shows.
func TestStatusPage(t *testing.T) {
	s := openShop(t, "status-page")
	r := &release{T: t, helm: "helm4"}
	r.install("30s")
	_, err := r.shell("helm upgrade tpa manifests/chart -n tpa-system --reuse-values --set statusPage.enabled=true")
	must(t, err)
	uid := r.uid()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t)) // rather than 8082, which somebody else may have
	end := r.serve("--status-bind-address=" + address)
	s.active()
	get := func(path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + address + path)
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(body)
	}
	type item struct {
		Metadata struct{ Namespace, Name string }
		Status   struct {
			Phase   string
			Ready   *int
			Proxies *struct{ Ready, Desired int }
			Targets []struct{ Desired *int }
		}
	}
	until(t, "the page to show the Service", func(context.Context) error {
		var list struct{ Items []item }
		code, body := get("/status.json")
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			return fmt.Errorf("%d %s: %w", code, body, err)
		}
		for _, i := range list.Items { // pods, proxies and scales: what there is a right for each to read
			if i.Metadata.Namespace == s.ns && i.Status.Phase == string(contract.Active) && i.Status.Ready != nil && i.Status.Proxies != nil &&
				slices.ContainsFunc(i.Status.Targets, func(t struct{ Desired *int }) bool { return t.Desired != nil }) {
				return nil
			}
		}
		return fmt.Errorf("it shows %s", body)
	})
	code, body := get("/")
	if code != http.StatusOK || !strings.Contains(body, `id="row-status-page/web"`) || strings.Contains(body, "could not be read") {
		t.Errorf("%d %s", code, body)
	}
	must(t, r.uninstall())
	s.restored()
	end()
	r.gone(uid)
}
