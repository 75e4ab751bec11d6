package report

// The arms that targets compare.
const (
	Direct       = "direct"
	HAProxy      = "haproxy"
	HAProxyTuned = "haproxy-tuned"
	Nginx        = "nginx"
	// TPA is the proxy as it is shipped. An arm "tpa-NAME" is a variant of it, held to the same targets.
	TPA = "tpa"
)

// Sample is one measurement.
type Sample struct {
	Round int    `json:"round"`
	Arm   string `json:"arm"`
	// Link is "loopback" or "veth".
	Link string `json:"link"`
	// CPUs is how many CPUs client, proxy and server shared.
	CPUs int `json:"cpus"`
	// Metric is the name of one of Metrics, and Value is in its unit.
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
}

// Metric is what a sample measures.
type Metric struct {
	Name, Title string
	// Unit is empty for a number of things.
	Unit string
}

func (m Metric) String() string {
	if m.Unit == "" {
		return m.Title
	}
	return m.Title + ", " + m.Unit
}

// The names of what is measured. CPU is the proxy's own, user and system; with "-all" that of client, proxy and server
// together, which the direct arm has too.
const (
	BulkCPU       = "bulk-cpu"
	BulkCPUAll    = "bulk-cpu-all"
	Bulk200CPU    = "bulk200-cpu"
	Bulk200CPUAll = "bulk200-cpu-all"
	RRP50         = "rr-p50"
	RRCPU         = "rr-cpu"
	RRCPUAll      = "rr-cpu-all"
	OpenP99       = "open-p99"
	OpenP999      = "open-p999"
	ConnCPU       = "conn-cpu"
	ConnCPUAll    = "conn-cpu-all"
	IdleMem       = "idle-mem"
	IdleMemOwn    = "idle-mem-process"
	IdleFDs       = "idle-fds"
	EmptyPSS      = "empty-pss"
	AloneP99      = "alone-p99"
	BesideP99     = "beside-p99"
	HeldTime      = "held-time"
	HeldMem       = "held-mem"
	HeldMemOwn    = "held-mem-process"
	HeldLost      = "held-lost"
	Balance       = "balance"
)

// Metrics are in the order in which they are shown.
var Metrics = []Metric{
	{BulkCPU, "bulk, one stream: CPU", "ms/GiB"},
	{BulkCPUAll, "  with client and server", "ms/GiB"},
	{Bulk200CPU, "bulk, 200 streams: CPU", "ms/GiB"},
	{Bulk200CPUAll, "  with client and server", "ms/GiB"},
	{RRP50, "64-byte round trip: p50", "µs"},
	{RRCPU, "64-byte round trip: CPU", "µs"},
	{RRCPUAll, "  with client and server", "µs"},
	{OpenP99, "open loop, half load: p99", "µs"},
	{OpenP999, "open loop, half load: p99.9", "µs"},
	{ConnCPU, "new connection: CPU", "µs"},
	{ConnCPUAll, "  with client and server", "µs"},
	{IdleMem, "idle connection: memory", "KiB"},
	{IdleMemOwn, "  of the process", "KiB"},
	{IdleFDs, "idle connection: descriptors", ""},
	{EmptyPSS, "empty proxy: PSS", "MiB"},
	{AloneP99, "64 bytes alone: p99", "µs"},
	{BesideP99, "64 bytes beside bulk: p99", "µs"},
	{HeldTime, "5,000 released: all answered", "ms"},
	{HeldMem, "held connection: memory", "KiB"},
	{HeldMemOwn, "  of the process", "KiB"},
	{HeldLost, "held connections lost", ""},
	{Balance, "8 backends, most loaded ÷ mean", ""},
}
