// Package controller is the part of TPA that acts: it brings the proxy into each namespace that has a managed Service,
// allocates the proxy's ports, and moves each Service through its life (package contract's Phase) until it is the user's
// own again.
//
//	var opts controller.Options
//	opts.BindFlags(flag.CommandLine)
//	flag.Parse()
//	mgr, err := ctrl.NewManager(config, ctrl.Options{Cache: controller.Cache(), ...})
//	err = controller.Setup(mgr, opts)
//
// # How it works
//
// The unit of work is a namespace. One pass looks at all of it and puts all of it right, so that it does not matter
// which event woke it, how many were missed, or where an earlier pass, of this process or another, was cut off. Each
// write is safe to repeat. What must outlive the process and cannot be seen from the objects themselves is in one
// annotation of the proxy's Deployment (see record).
//
// The controller changes a Service's phase and ports and nothing else; admission rewrites and restores the spec in that
// same request. Each such patch carries the resourceVersion that it was decided on.
//
// It reads from watches that hold managed Services and TPA's own objects only, and writes nothing and asks nothing while
// nothing changes. It polls only while something is under way: a target that is being woken, a proxy that lingers.
//
// # Rights
//
// What the ServiceAccount needs, cluster-wide; (p) are the proxy's own rights, which who binds its role must hold too:
//
//	""                         namespaces                     get list watch
//	""                         services                       get list watch (p) patch
//	""                         pods                           get list watch (p)
//	""                         serviceaccounts                get list watch; tpa-proxy: create patch delete
//	apps                       deployments                    get list watch; tpa-proxy: create patch delete
//	policy                     poddisruptionbudgets           get list watch; tpa-proxy: create patch delete
//	rbac.authorization.k8s.io  rolebindings                   get list watch; tpa-proxy: create patch delete
//	rbac.authorization.k8s.io  clusterroles, tpa-proxy        bind
//	coordination.k8s.io        leases                         get list watch create update patch (p) delete
//	*                          */scale                        get update (p)
//	events.k8s.io              events                         create (p) patch
//
// What it creates, it creates by server-side apply, which names the object, so that create may be limited to that name.
package controller
