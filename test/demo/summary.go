package main

import (
	"fmt"
	"strings"
	"time"
)

// summary is what remains to know when all went well.
func (d *demo) summary() {
	d.line("")
	d.line(d.paint(bold, "Summary"))
	entry := func(name, value string) { d.line(fmt.Sprintf("%s%-30s%s", indent, name, value)) }
	for _, w := range d.wakes {
		entry("wake of "+w.what, span(w.took))
	}
	lost, _ := d.sent.lost()
	entry("connections lost", fmt.Sprintf("%d of %d", lost, d.sent.total()))
	entry("spec identical", "yes: Services "+strings.Join(d.identical, " and "))
	entry("time in all", span(time.Since(d.began)))
}

// hints say how to go on with a cluster that was left.
func (d *demo) hints() {
	address := "CLUSTER-IP"
	if before, ok := d.before["web"]; ok {
		address = before.service.Spec.ClusterIP
	}
	d.line("")
	d.line(d.paint(bold, "The cluster is left as it is (KEEP=1). To go on:"))
	for _, hint := range []struct {
		what     string
		commands [][]string
	}{
		{"look around", [][]string{
			{cluster, "kubectl", "-n", namespace, "get", "services,deployments,pods"}}},
		{"opt in again", [][]string{
			{cluster, "kubectl", "label", "namespace", namespace, "tpa.dev/inject=enabled"},
			{cluster, "kubectl", "-n", namespace, "annotate", "service", "web", "tpa.dev/target=web", "tpa.dev/idle-timeout=30s",
				"--overwrite"}}},
		{"wake it, from inside a node (nothing outside reaches the cluster)", [][]string{
			{cluster, "exec", "node1", "--", "curl", "-s", "http://" + address}}},
		{"take TPA off, which restores every Service first", [][]string{
			append([]string{"make", "undeploy"}, makeTPA...)}},
		{"stop it all", [][]string{
			{cluster, "down"}}},
	} {
		d.say("%s:", hint.what)
		for _, command := range hint.commands {
			d.command(command...)
		}
	}
}
