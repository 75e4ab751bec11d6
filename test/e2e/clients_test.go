//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/test/kit"
)

// greeting is in the table that the PostgreSQL image comes with.
const greeting = "hello from a database that slept"

// psql asks a PostgreSQL server with the real client, from another node.
func (f *fixture) psql(s *corev1.Service) (string, error) {
	ctx, cancel := context.WithTimeout(f.ctx, answerWithin)
	defer cancel()
	out, err := f.far.Run(ctx, "", "psql", "--no-psqlrc", "-h", s.Spec.ClusterIP, "-p", fmt.Sprint(s.Spec.Ports[0].Port),
		"-U", "postgres", "-tA", "-c", "SELECT text FROM greeting")
	return strings.TrimSpace(out.Stdout), err
}

// redis asks a Redis server with the real client, from another node.
func (f *fixture) redis(s *corev1.Service, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(f.ctx, answerWithin)
	defer cancel()
	out, err := f.far.Run(ctx, "", "redis-cli",
		append([]string{"-h", s.Spec.ClusterIP, "-p", fmt.Sprint(s.Spec.Ports[0].Port)}, command...)...)
	return strings.TrimSpace(out.Stdout), err
}

// succeeds looks whether a client gets through. It is for the time before a test begins, never for what it tests.
func succeeds(try func() (string, error)) func(context.Context) (bool, string) {
	return func(context.Context) (bool, string) {
		out, err := try()
		return err == nil, fmt.Sprintf("%q, %v", out, err)
	}
}

// reachable waits until every node knows a new Service. It is for the time before a test begins.
func (f *fixture) reachable(address string) {
	f.Helper()
	for _, node := range cluster.Nodes {
		f.wait(address+" to be reachable from "+node.Name, func(ctx context.Context) (bool, string) {
			conn, err := node.Dial(ctx, address)
			if err != nil {
				return false, err.Error()
			}
			return conn.Close() == nil, ""
		})
	}
}

// answers looks whether the clients got so many more good answers.
func answers(load interface{ Tally() kit.Tally }, more int) func(context.Context) (bool, string) {
	have := load.Tally().Count[kit.OK]
	return func(context.Context) (bool, string) {
		tally := load.Tally()
		return tally.Count[kit.OK] >= have+more, tally.String()
	}
}
