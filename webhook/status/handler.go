package status

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"tpa.dev/tpa/webhook/view"
)

var (
	//go:embed page.css
	styleText []byte
	//go:embed page.js
	scriptText []byte
	//go:embed icon.svg
	iconText []byte
)

// policy lets the page load what stands beside it, and nothing else: no script or style within it, nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// NewServer serves a handler at an address; its limits are those of a page that one person looks at.
func NewServer(address string, handler http.Handler, logger *log.Logger) *http.Server {
	return &http.Server{
		Addr: address, Handler: handler, ErrorLog: logger, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
}

// CheckAddress returns an error for an address that others than this machine, which in a pod is that pod, could reach.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return fmt.Errorf("%q is not accepted: write an address and a port, such as 127.0.0.1:8082", address)
	}
	if !loopback(host) {
		return fmt.Errorf("%q is not accepted: the status page asks nobody who they are; write a loopback address, such as 127.0.0.1:8082, "+
			"and reach it with kubectl port-forward", address)
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// handler serves the page.
type handler struct {
	source *Source
	wakes  *Wakes
}

// NewHandler serves the page at /, its parts beside it, and /status.json, the same as `kubectl tpa status -A -o json` at the
// time in the header Last-Modified.
//
// It only answers who calls it by a loopback address or as localhost: in the browser of somebody who has it forwarded, a page
// of another site could otherwise give its own name the address 127.0.0.1, and read what is here.
func NewHandler(source *Source, wakes *Wakes) http.Handler {
	h := handler{source, wakes}
	mux := http.NewServeMux() // which takes HEAD for GET, and answers 405 to any other method
	mux.HandleFunc("GET /{$}", h.page)
	mux.HandleFunc("GET /status.json", h.json)
	mux.Handle("GET /page.css", file("text/css; charset=utf-8", styleText))
	mux.Handle("GET /page.js", file("text/javascript; charset=utf-8", scriptText))
	mux.Handle("GET /icon.svg", file("image/svg+xml", iconText))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			w.Header().Set(key, value)
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !loopback(strings.Trim(host, "[]")) {
			http.Error(w, "The status page is for http://localhost only.", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// file serves what does not change while this process runs.
func file(kind string, content []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache") // kept, and asked about each time
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

func (h handler) snapshot(r *http.Request) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return h.source.Snapshot(ctx)
}

func wanted(r *http.Request) filter {
	query := r.URL.Query()
	return filter{Text: strings.TrimSpace(query.Get("q")), State: query.Get("state")}
}

func (h handler) page(w http.ResponseWriter, r *http.Request) {
	snapshot, err := h.snapshot(r)
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, newPage(snapshot, err, wanted(r), h.wakes, time.Now())); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, "text/html; charset=utf-8", code(w, snapshot, err), out.Bytes())
}

func (h handler) json(w http.ResponseWriter, r *http.Request) {
	snapshot, err := h.snapshot(r)
	if snapshot == nil {
		http.Error(w, err.Error(), code(w, snapshot, err))
		return
	}
	var services []view.Service
	for _, e := range wanted(r).apply(snapshot.Explanations) {
		services = append(services, e.Service)
	}
	var out []byte
	list, err := view.Objects(services, false)
	if err == nil {
		out, err = runtime.Encode(unstructured.UnstructuredJSONScheme, list)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Last-Modified", snapshot.At.Format(http.TimeFormat)) // it may not have been read for long
	write(w, "application/json", http.StatusOK, out)
}

// code is that of an answer: a snapshot is one even if a later one could not be read.
func code(w http.ResponseWriter, snapshot *Snapshot, err error) int {
	switch {
	case snapshot != nil:
		return http.StatusOK
	case errors.Is(err, errReading):
		w.Header().Set("Retry-After", "5")
	}
	return http.StatusServiceUnavailable
}

func write(w http.ResponseWriter, kind string, code int, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // who asked may be gone
}
