// Package apiserver starts a real API server with its etcd, without nodes and controllers, and puts TPA's admission in
// front of Services there: for tests of what only an API server can show, such as what a client's request looks like
// by the time that admission sees it.
//
//	s, err := apiserver.Start(ctx, apiserver.Options{})
//	defer s.Stop()
//	err = s.Admin.Create(ctx, service)
//	out, err := s.Kubectl(ctx, "", "apply", "-f", "-")
//
// The programs are those of test/cluster: $KUBEBUILDER_ASSETS names their folder, as `bin/cluster programs` prints it.
// Nothing runs that would act on objects. Who needs a controller starts it; Play plays Deployments, pods and proxies.
// Several servers can run at once, on loopback only.
package apiserver
