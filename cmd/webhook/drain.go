package main

import (
	"context"
	"net/http"
)

// drain serves so that no request is lost when the process ends. The API server keeps its connections, and prefers them
// to new ones: while stopping it is told with each answer to take another, which leads to another replica. Requests that
// are under way when the server ends are finished: it cancels their context, but waits for them, and each bounds itself.
func drain(stopping context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stopping.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	})
}
