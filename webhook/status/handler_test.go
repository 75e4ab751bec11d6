package status

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	coordinationv1 "k8s.io/api/coordination/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/webhook/view"
)

// serve serves the page over such a Source, with 3 wakes seen.
func serve(t *testing.T, source *Source) *httptest.Server {
	t.Helper()
	wakes := NewWakes(time.Now)
	lease := func(n int64) *coordinationv1.Lease {
		return targetLease("web", sleep.State{Phase: sleep.Awake}, &contract.History{Wakes: n})
	}
	wakes.OnAdd(lease(1), true)
	wakes.OnUpdate(lease(1), lease(4))
	server := httptest.NewServer(NewHandler(source, wakes))
	t.Cleanup(server.Close)
	return server
}

type answer struct {
	*http.Response
	body string
}

func ask(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(body)}
}

// TestPage: it says without a script what kubectl tpa says, and why.
func TestPage(t *testing.T) {
	got := ask(t, "GET", serve(t, reads(shop(time.Now()))).URL)
	if got.StatusCode != http.StatusOK {
		t.Fatal(got.Status)
	}
	contains(t, got.body,
		"<title>TPA: 2 of 5 Services asleep</title>",
		`<dt class="state Asleep">Asleep</dt><dd>2</dd>`, `<dt class="state Missing">Missing</dt><dd>1</dd>`,
		"<strong>11.0 replica-hours</strong>, <strong>4.5 CPU core-hours</strong>, <strong>9.0 GiB-hours of memory</strong>",
		"where TPA only observes: <strong>1.5 replica-hours</strong>, <strong>0.0 CPU core-hours</strong>",
		"3 in all, at most 3 in an hour", `<caption>5 of 5 Services</caption>`,
		`<th role="rowheader" scope="row" data-name="Service">web</th>`, `<span class="state Awake">Awake</span>`,
		"60m ago, ready in 1.25s", "Why it is awake", "Through proxy tpa-proxy-a: 2 connections open.",
		`<li class="under">from 192.0.2.9:41000 to port 80 since`, "Why it is asleep", "the next connection wakes it to 3.",
		"no pod of deployment/slow is ready: Unschedulable", "Try: <code>kubectl describe deployment/slow -n shop</code>",
		"deployment/lost does not exist",
	)
}

// TestNothingYet: there is a page with nothing on it, and one that says why there is none.
func TestNothingYet(t *testing.T) {
	contains(t, ask(t, "GET", serve(t, reads()).URL).body, "TPA manages no Service, and no Service asks for it.", "0 of 0 Services")
	broken := serve(t, &Source{Read: func(context.Context) ([]*view.Namespace, error) { return nil, errRefused }})
	for _, path := range []string{"/", "/status.json"} {
		got := ask(t, "GET", broken.URL+path)
		contains(t, got.body, errRefused.Error())
		if got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
}

// TestStale: what was read once is shown with why it could not be read again.
func TestStale(t *testing.T) {
	n, err := []*view.Namespace{shop(time.Now())}, error(nil)
	source := &Source{Every: time.Nanosecond, Read: func(context.Context) ([]*view.Namespace, error) { return n, err }}
	server := serve(t, source)
	ask(t, "GET", server.URL)
	source.mu.Lock()
	source.last.At = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	n, err, source.next = nil, errRefused, time.Time{}
	source.mu.Unlock()
	got := ask(t, "GET", server.URL)
	contains(t, got.body, `role="alert">The Services could not be read: connection refused</p>`, `<caption>5 of 5 Services</caption>`)
	if got.StatusCode != http.StatusOK {
		t.Error(got.Status)
	}
	if asOf := ask(t, "GET", server.URL+"/status.json").Header.Get("Last-Modified"); asOf != "Thu, 01 Jan 2026 12:00:00 GMT" {
		t.Errorf("status.json is as of %q", asOf)
	}
}

func TestFilter(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	for query, want := range map[string]string{
		"?q=report": "2 of 5", "?q=shop/web": "1 of 5", "?q=DEPLOYMENT/report": "2 of 5", "?state=Waking": "1 of 5", "?q=+web+&state=Awake": "1 of 5",
		"?q=web&state=Asleep": "", "?state=%3Cscript%3E": "",
	} {
		got := ask(t, "GET", server.URL+"/"+query)
		if want == "" {
			contains(t, got.body, "No Service is like that.")
			continue
		}
		contains(t, got.body, "<caption>"+want+" Services</caption>")
	}
	contains(t, ask(t, "GET", server.URL+"/?q=%22%3E%3Cscript%3E&state=Asleep").body,
		`value="&#34;&gt;&lt;script&gt;"`, `<option selected>Asleep</option>`)
}

// TestHostile: nothing that somebody has written becomes an element or an attribute.
func TestHostile(t *testing.T) {
	n := shop(time.Now())
	service(n, hostile, hostile)
	n.Services[len(n.Services)-1].Annotations[contract.IdleTimeoutKey] = hostile
	got := ask(t, "GET", serve(t, reads(n)).URL)
	contains(t, got.body, "&lt;script&gt;", "<caption>6 of 6 Services</caption>")
	root, err := html.Parse(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	scripts, rows := 0, 0
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		switch node.Data {
		case "script":
			scripts++
		case "tr":
			rows++
		case "img":
			t.Error("there is an <img>")
		}
		for _, a := range node.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s %s=%q>", node.Data, a.Key, a.Val)
			}
		}
	}
	if hours := strings.Count(got.body, `<tr><th scope="row">2`); scripts != 1 || rows != 6+2+hours {
		t.Errorf("%d scripts and %d rows", scripts, rows)
	}
}

func TestMethods(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	for _, path := range []string{"/", "/status.json", "/page.css", "/page.js", "/icon.svg"} {
		get, head := ask(t, "GET", server.URL+path), ask(t, "HEAD", server.URL+path)
		if get.StatusCode != http.StatusOK || head.StatusCode != http.StatusOK || get.body == "" || head.body != "" ||
			head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: GET %s, HEAD %s", path, get.Status, head.Status)
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			if got := ask(t, method, server.URL+path); got.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, got.Status)
			}
		}
	}
	for _, path := range []string{"/metrics", "/page.html", "/../../etc/passwd", "/status.json/x"} {
		if got := ask(t, "GET", server.URL+path); got.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s", path, got.Status)
		}
	}
}

func TestHeaders(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	for path, want := range map[string][2]string{
		"/":            {"text/html; charset=utf-8", "no-store"},
		"/status.json": {"application/json", "no-store"},
		"/page.css":    {"text/css; charset=utf-8", "no-cache"},
		"/page.js":     {"text/javascript; charset=utf-8", "no-cache"},
		"/icon.svg":    {"image/svg+xml", "no-cache"},
		"/none":        {"text/plain; charset=utf-8", "no-store"},
	} {
		got := ask(t, "GET", server.URL+path)
		for key, value := range map[string]string{
			"Content-Type": want[0], "Cache-Control": want[1], "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": policy, "Cross-Origin-Resource-Policy": "same-origin", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
		} {
			if got.Header.Get(key) != value {
				t.Errorf("%s: %s is %q, want %q", path, key, got.Header.Get(key), value)
			}
		}
		if tag := got.Header.Get("ETag"); tag != "" {
			if again := ask(t, "GET", server.URL+path, "If-None-Match", tag); again.StatusCode != http.StatusNotModified {
				t.Errorf("%s, again: %s", path, again.Status)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("the policy is %s", policy)
	}
}

// TestOtherSites: a name that another site has given this address gets nothing.
func TestOtherSites(t *testing.T) {
	server := serve(t, reads(shop(time.Now())))
	for host, want := range map[string]int{
		"localhost:8082": http.StatusOK, "127.0.0.1:9": http.StatusOK, "[::1]:8082": http.StatusOK, "localhost": http.StatusOK,
		"[::1]": http.StatusOK, "evil.example": http.StatusMisdirectedRequest, "evil.example:8082": http.StatusMisdirectedRequest,
		"localhost.evil.example": http.StatusMisdirectedRequest, "10.0.0.1:8082": http.StatusMisdirectedRequest,
	} {
		got := ask(t, "GET", server.URL, "Host", host)
		if got.StatusCode != want || want != http.StatusOK && strings.Contains(got.body, "shop") {
			t.Errorf("%s: %s", host, got.Status)
		}
	}
}

func TestJSON(t *testing.T) {
	got := ask(t, "GET", serve(t, reads(shop(time.Now()))).URL+"/status.json?state=Asleep")
	var list struct {
		Kind  string
		Items []struct {
			Metadata struct{ Namespace, Name string }
			Status   struct{ State string }
		}
	}
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 || list.Items[0].Metadata.Name != "report" || list.Items[1].Status.State != "Asleep" {
		t.Errorf("%+v", list)
	}
}

func TestCheckAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:8082": true, "localhost:8082": true, "[::1]:8082": true, "127.0.0.1:0": true,
		":8082": false, "0.0.0.0:8082": false, "[::]:8082": false, "10.0.0.1:8082": false, "example.com:80": false, "8082": false,
		"127.0.0.1": false, "127.0.0.1:": false, "": false,
	} {
		if err := CheckAddress(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestNewServer: who sends nothing is let go.
func TestNewServer(t *testing.T) {
	server := NewServer("127.0.0.1:0", http.NotFoundHandler(), log.New(t.Output(), "", 0))
	for name, limit := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout, "ReadTimeout": server.ReadTimeout, "IdleTimeout": server.IdleTimeout,
	} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("%s is %s", name, limit)
		}
	}
	if server.WriteTimeout <= patience {
		t.Errorf("a viewer may wait %s, and the answer ends after %s", patience, server.WriteTimeout)
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond
	l, err := net.Listen("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n > 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
