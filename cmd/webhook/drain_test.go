package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDrain runs a server as controller-runtime does, whose requests end with the server's own context.
func TestDrain(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	base, end := context.WithCancel(t.Context())
	defer end()
	slow := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			end()
		}
		if err := r.Context().Err(); err != nil {
			t.Errorf("%s was broken off: %v", r.URL, err)
		}
	}
	server := httptest.NewUnstartedServer(drain(stopping, http.HandlerFunc(slow)))
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.Start()
	defer server.Close()
	get := func(path string) *http.Response {
		t.Helper()
		response, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	if get("/").Close {
		t.Error("a connection is closed before the end")
	}
	stop()
	if !get("/").Close {
		t.Error("a connection is kept while stopping")
	}
	get("/slow")
}
