// Package truth is the truth table: what each client sends for a Service in each phase, and what comes of it, on a real
// API server and with the real clients.
//
//	make integration RUN=TestTruth                        # the whole table
//	make integration RUN=TestTruth/kubectl_apply          # one client
//	make integration RUN=TestTruth/Flux/same_again/Active # one cell
//
// table_*_test.go is written to be read: one row is one edit by one client. Each row is played in every phase, and the
// oracle is a twin: the same Service, treated by the same client in the same way, in a namespace that is not opted in.
// Whatever the user has by TPA's account, and whatever opting out gives back, must be what the twin has. Beside it stand
// what does not fit into rows, such as a change from one client to another, and the pages of manifests/gitops, which are
// taken at their word.
//
// No controller runs: a row plays it, with TPA's own ServiceAccount and the controller's own patches.
package truth
