package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const psql = "/usr/bin/psql"

var (
	appImages = []string{"bin/images/app.tar", "bin/images/postgres.tar"}
	tpaImages = []string{"bin/images/tpa-webhook.tar", "bin/images/tpa-proxy.tar"}

	makeTPA = []string{"KUBECTL=" + cluster + " kubectl", "OVERLAY=manifests/overlays/local"}
)

// setUp brings up what the demo needs, and notes what was there before it.
func (d *demo) setUp(ctx context.Context) error {
	for _, file := range append([]string{cluster, "go.mod"}, append(appImages, tpaImages...)...) {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s is missing: start the demo with `make demo`, at the repository's root", file)
		}
	}
	if d.svg != "" {
		if _, err := os.Stat(filepath.Dir(d.svg)); err != nil {
			return fmt.Errorf("the picture's folder: %w", err)
		}
	}
	if err := d.clusterUp(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(psql); err != nil {
		if _, err := d.timed(ctx, "installing psql", "test/images/packages.sh", psql+"=postgresql-client-15"); err != nil {
			return err
		}
	}
	if err := d.connect(ctx); err != nil {
		return err
	}
	var err error
	if d.deployedBefore, err = d.kube.deployed(ctx); err != nil {
		return err
	}
	// What an earlier demo left, one with KEEP=1 for example, would spoil what this one shows.
	if left, err := d.kube.hasNamespace(ctx); err != nil {
		return err
	} else if left {
		if err := d.deleteNamespace(ctx); err != nil {
			return err
		}
	}
	if err := d.deploy(ctx); err != nil {
		return err
	}
	d.say("From here on kubectl stands for %s kubectl.", cluster)
	return nil
}

func (d *demo) clusterUp(ctx context.Context) error {
	// It writes something exactly if there is a cluster, be it a broken one.
	status, _ := command(ctx, cluster, "status").Output()
	if d.upBefore = len(status) > 0; d.upBefore {
		d.say("A cluster is up already: it is used, and left alone at the end.")
		d.command(cluster, "up")
	} else {
		d.command(cluster, "up", "--nodes", "2")
	}
	up := command(ctx, cluster, "up")
	if !d.upBefore {
		up.Args = append(up.Args, "--nodes", "2")
	}
	up.Stdout, up.Stderr = os.Stdout, os.Stderr // it shows its own progress
	if err := up.Run(); err != nil {
		return fmt.Errorf("the cluster does not come up: %w", err)
	}
	return nil
}

func (d *demo) connect(ctx context.Context) error {
	path, err := command(ctx, cluster, "exec", "node1", "--", "printenv", "KUBECONFIG").Output()
	if err != nil {
		return fmt.Errorf("find the cluster's kubeconfig: %w", err)
	}
	if d.kube, err = newKube(strings.TrimSpace(string(path))); err != nil {
		return err
	}
	nodes, err := d.kube.nodes(ctx)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return errors.New("the cluster has no node")
	}
	d.client = nodes[len(nodes)-1]
	d.before = map[string]snapshot{}
	return nil
}

func (d *demo) deploy(ctx context.Context) error {
	images := appImages
	if d.deployedBefore {
		d.say("TPA is deployed there already: it is used as it is, and left at the end.")
	} else {
		images = append(images, tpaImages...)
	}
	load := append([]string{"load"}, images...)
	d.command(append([]string{cluster}, load...)...)
	if _, err := d.timed(ctx, "loading images into every node", cluster, load...); err != nil {
		return err
	}
	if d.deployedBefore {
		return nil
	}
	d.deployed = true
	args := append([]string{"deploy"}, makeTPA...)
	d.command(append([]string{"make"}, args...)...)
	out, err := d.timed(ctx, "deploying TPA, until it is ready", "make", args...)
	if err != nil {
		return err
	}
	created := strings.Count(out, " created\n")
	d.say("%s created; TPA's pods:", count(created, "object", "objects"))
	out, err = quiet(ctx, cluster, "kubectl", "-n", systemNamespace, "get", "pods")
	d.output(out)
	return err
}

// deleteNamespace removes the demo's namespace and waits until it is gone.
func (d *demo) deleteNamespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err := d.timed(ctx, "removing namespace "+namespace, cluster, "kubectl", "delete", "namespace", namespace,
		"--ignore-not-found")
	return err
}
