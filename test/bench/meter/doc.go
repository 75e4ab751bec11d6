// Package meter reads what a process costs: the CPU time that it used, the memory that it and the kernel hold for it, and
// its descriptors.
//
//	before, err := meter.CPU(pid)
//	...
//	after, err := meter.CPU(pid)
//
// The kernel charges the work that an interrupt brings (on a loopback or veth link, all that TCP does on receiving) to
// whoever runs at that moment. A proxy's CPU time therefore holds some of its peers' work, and they some of its; only the
// sum over all parties is exact.
package meter
