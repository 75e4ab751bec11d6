package manifests

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers its metrics
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/build"
	"tpa.dev/tpa/proxy/services"
	"tpa.dev/tpa/webhook/admission"
	"tpa.dev/tpa/webhook/certificate"
	"tpa.dev/tpa/webhook/controller"
)

// expression is one of PromQL, and where it stands.
type expression struct{ where, text string }

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type ruleGroup struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

// ruleGroups are those of the PrometheusRule.
func ruleGroups(t *testing.T) []ruleGroup {
	t.Helper()
	data, err := os.ReadFile("monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec struct {
			Groups []ruleGroup `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	if len(object.Spec.Groups) == 0 {
		t.Fatal("no rules")
	}
	return object.Spec.Groups
}

// dashboard returns the expressions of all panels and variables.
func dashboard(t *testing.T) []expression {
	t.Helper()
	data, err := os.ReadFile("monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Name       string `json:"name"`
				Type       string `json:"type"`
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	var all []expression
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, expression{"panel " + p.Title, target.Expr})
		}
	}
	labelValues := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, v := range board.Templating.List {
		if v.Type != "query" {
			continue
		}
		query := labelValues.FindStringSubmatch(v.Definition)
		if query == nil {
			t.Fatalf("variable %s: %q is not label_values(METRIC, LABEL)", v.Name, v.Definition)
		}
		all = append(all, expression{"variable " + v.Name, "count by (" + query[2] + ") (" + query[1] + ")"})
	}
	// What Grafana puts in.
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range_s", "86400", "$__range", "1d")
	for i := range all {
		all[i].text = fill.Replace(all[i].text)
	}
	return all
}

// expressions are all of rules and dashboard.
func expressions(t *testing.T) []expression {
	t.Helper()
	all := dashboard(t)
	for _, g := range ruleGroups(t) {
		for _, r := range g.Rules {
			all = append(all, expression{"alert " + r.Alert, r.Expr})
		}
	}
	return all
}

// exported returns the metrics that TPA's programs have, as their registries describe them, with their labels.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	manager, err := services.New(&rest.Config{Host: "http://127.0.0.1:1"}, services.Options{Namespace: "shop", Pod: "a"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_ = webhook.NewServer(webhook.Options{}) // its package registers what it counts
	controllerRuntime, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry of controller-runtime does not describe itself")
	}
	known := map[string][]string{}
	described := regexp.MustCompile(`fqName: "([^"]*)".* constLabels: {(.*)}, variableLabels: {(.*)}}$`)
	label := regexp.MustCompile(`\w+`)
	for _, c := range []prometheus.Collector{
		manager, build.NewCollector(), collectors.NewGoCollector(), controllerRuntime,
		admission.NewCounted(nil), certificate.NewCollector("", nil), controller.NewCollector(nil, nil),
	} {
		descs := make(chan *prometheus.Desc)
		go func() { c.Describe(descs); close(descs) }()
		for d := range descs {
			match := described.FindStringSubmatch(d.String())
			if match == nil {
				t.Fatalf("cannot read %s", d)
			}
			for pair := range strings.SplitSeq(match[2], ",") {
				name, _, _ := strings.Cut(pair, "=")
				known[match[1]] = append(known[match[1]], name)
			}
			known[match[1]] = append(known[match[1]], label.FindAllString(match[3], -1)...)
		}
	}
	return known
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	matchers  = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}`)
	grouping  = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	durations = regexp.MustCompile(`\[[^\]]*\]`)
	name      = regexp.MustCompile(`[a-zA-Z_:][\w:]*\s*\(?`)
	labelName = regexp.MustCompile(`\w+`)
)

// keywords stand where a metric could.
var keywords = []string{"and", "or", "unless", "by", "on", "bool", "offset"}

// names returns the metrics of an expression, and the labels that it names.
func names(expr string) (metrics, labels []string) {
	expr = quoted.ReplaceAllString(expr, "")
	for _, m := range matchers.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, labelName.FindAllString(m[2], -1)...)
	}
	expr = matchers.ReplaceAllString(expr, "$1")
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, labelName.FindAllString(g[2], -1)...)
	}
	expr = durations.ReplaceAllString(grouping.ReplaceAllString(expr, ""), "")
	for _, n := range name.FindAllString(expr, -1) {
		if !strings.HasSuffix(n, "(") && !slices.Contains(keywords, strings.TrimSpace(n)) {
			metrics = append(metrics, strings.TrimSpace(n))
		}
	}
	return metrics, labels
}

// TestExpressionsNameWhatThereIs: the metrics that rules and dashboard name, and their labels, are exported.
func TestExpressionsNameWhatThereIs(t *testing.T) {
	known := exported(t)
	for _, e := range expressions(t) {
		metrics, labels := names(e.text)
		if len(metrics) == 0 {
			t.Errorf("%s: %s names no metric", e.where, e.text)
		}
		has := []string{"le"}
		for _, m := range metrics {
			base := m
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if known[base] == nil {
					base = strings.TrimSuffix(m, suffix)
				}
			}
			if _, ok := known[base]; !ok {
				t.Errorf("%s: nothing exports %s", e.where, m)
			}
			has = append(has, known[base]...)
		}
		for _, l := range labels {
			if !slices.Contains(has, l) {
				t.Errorf("%s: none of %v has a label %s, but %v", e.where, metrics, l, has)
			}
		}
	}
}

func TestNames(t *testing.T) {
	metrics, labels := names(`sum by (a) (increase(x_total{b=~"c|d", e!="f"}[5m])) / on(g) group_left(h) max(y) > 0 or absent(z{})`)
	if got := strings.Join(metrics, " "); got != "x_total y z" {
		t.Errorf("metrics %s", got)
	}
	if got := strings.Join(labels, " "); got != "b e a g h" {
		t.Errorf("labels %s", got)
	}
}

// No label of TPA's own metrics tells of a client.
func TestLabelsAreBounded(t *testing.T) {
	bounded := strings.Fields("namespace service target phase result direction reason outcome stage code version revision goversion")
	for metric, labels := range exported(t) {
		for _, l := range labels {
			if strings.HasPrefix(metric, "tpa_") && l != "" && !slices.Contains(bounded, l) {
				t.Errorf("%s has a label %s", metric, l)
			}
		}
	}
}

// Each alert says what is the case and what to do, and is tested.
func TestAlerts(t *testing.T) {
	tests, err := os.ReadFile("monitoring/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range ruleGroups(t) {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, a description or a severity", r.Alert)
			}
			fires := regexp.MustCompile(`- alertname: ` + r.Alert + `\n +eval_time: \S+\n +exp_alerts:.*\n?.*exp_labels`)
			quiet := regexp.MustCompile(`alertname: ` + r.Alert + `, eval_time: \S+, exp_alerts: \[\]`)
			if !fires.Match(tests) || !quiet.Match(tests) {
				t.Errorf("%s is not tested both ways", r.Alert)
			}
		}
	}
}
