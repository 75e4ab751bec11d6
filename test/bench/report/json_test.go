package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	r := newReport(t, []Sample{{1, TPA, "loopback", 1, BulkCPU, 6}, {1, HAProxy, "loopback", 1, BulkCPU, 10}})
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"seed": 4,
		"machine": {"kernel": "6.1.0", "cpu": "Example CPU", "haproxy": "2.6.12"},
		"rows": [{
			"link": "loopback", "cpus": 1, "arm": "tpa", "row": 1, "name": "bulk", "title": "CPU per GiB, one stream",
			"metric": "bulk-cpu", "against": "haproxy", "must": 0.65, "aim": 0.5,
			"median": 0.6, "min": 0.6, "max": 0.6, "rounds": 1, "verdict": "met must"
		}],
		"samples": [
			{"round": 1, "arm": "tpa", "link": "loopback", "cpus": 1, "metric": "bulk-cpu", "value": 6},
			{"round": 1, "arm": "haproxy", "link": "loopback", "cpus": 1, "metric": "bulk-cpu", "value": 10}
		]
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
