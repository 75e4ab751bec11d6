package main

import (
	"context"
	"errors"
)

// clean takes away what this showing brought, and nothing else. showing is the error that ended it, if one did.
func (d *demo) clean(ctx context.Context, showing error) error {
	if d.keep {
		if d.kube != nil {
			d.hints()
		}
		return nil
	}
	d.line("")
	d.line(d.paint(bold, "Clean up"))
	if d.upBefore {
		return d.cleanCluster(ctx)
	}
	var err error
	if showing == nil {
		err = d.undeploy(ctx)
	} // else an orderly undeploy might wait long for what is broken, and the cluster goes anyway
	_, downErr := d.timed(ctx, "stopping the cluster", cluster, "down")
	return errors.Join(err, downErr)
}

// removal is the command that removes what a clean-up left.
func (d *demo) removal() string {
	switch {
	case !d.upBefore:
		return cluster + " down"
	case d.deployed:
		return "make undeploy, then " + cluster + " kubectl delete namespace " + namespace
	}
	return cluster + " kubectl delete namespace " + namespace
}

// cleanCluster leaves a cluster that was up before as it was.
func (d *demo) cleanCluster(ctx context.Context) error {
	if d.kube == nil {
		return nil // never came to change anything
	}
	if err := d.deleteNamespace(ctx); err != nil {
		return err
	}
	if d.deployed {
		if err := d.undeploy(ctx); err != nil {
			return err
		}
	}
	d.say("The cluster is left up, as it was found.")
	return nil
}

func (d *demo) undeploy(ctx context.Context) error {
	_, err := d.timed(ctx, "undeploying TPA", "make", append([]string{"undeploy"}, makeTPA...)...)
	return err
}
