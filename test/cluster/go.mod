// The test cluster's harness, apart from the main module: nothing that runs the
// tests may influence what is shipped.
module tpa.dev/tpa/test/cluster

go 1.26.0

require golang.org/x/sys v0.49.0
