// Package install tests what people install TPA with: the Helm chart, with both Helms, and install.yaml. Both are compared
// with the kustomize base, and brought to a real API server without nodes, where TPA runs as a process. `make integration`
// runs it; it is built with the tag integration.
package install
