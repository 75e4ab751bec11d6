package report

// Target is what a figure of TPA has to reach. Lower is better in all.
type Target struct {
	// Row is the number in the table of targets.
	Row   int    `json:"row"`
	Name  string `json:"name"`
	Title string `json:"title"`
	// Metric is what is judged. If Per is set, it is first divided by that metric of the same arm and round.
	Metric string `json:"metric"`
	Per    string `json:"per,omitempty"`
	// Against is the arm whose figure of the same round it is then divided by; empty: none, it is judged as it is.
	Against string `json:"against,omitempty"`
	// Must and Aim are the highest values that reach them. One row has no must.
	Must *float64 `json:"must,omitempty"`
	Aim  float64  `json:"aim"`
}

// Targets are the rows of the table, in the order in which they are shown. A title has a ÷ where the divisor is not HAProxy
// with its defaults, which balances by leastconn in the last row.
var Targets = []Target{
	{1, "bulk", "CPU per GiB, one stream", BulkCPU, "", HAProxy, new(0.65), 0.5},
	{1, "bulk-tuned", "the same ÷ HAProxy tuned", BulkCPU, "", HAProxyTuned, nil, 1.1},
	{2, "bulk200", "CPU per GiB, 200 streams ÷ one", Bulk200CPU, BulkCPU, "", new(1.3), 1.1},
	{3, "rr-p50", "64-byte round trip, p50", RRP50, "", HAProxy, new(1.3), 1.0},
	{3, "rr-cpu", "64-byte round trip, CPU", RRCPU, "", HAProxy, new(1.3), 1.0},
	{4, "open-p99", "p99 at half of saturation", OpenP99, "", HAProxy, new(1.5), 1.05},
	{4, "open-p999", "p99.9 at half of saturation", OpenP999, "", HAProxy, new(1.5), 1.05},
	{5, "conn", "CPU per new connection", ConnCPU, "", HAProxy, new(1.5), 1.2},
	{6, "idle-mem", "memory per idle connection", IdleMem, "", HAProxy, new(2.0), 0.5},
	{6, "idle-fds", "descriptors per idle connection", IdleFDs, "", "", new(2.0), 2.0},
	{7, "empty", "empty proxy, PSS", EmptyPSS, "", HAProxy, new(2.5), 1.5},
	{8, "beside", "64-byte p99, slowed by bulk", BesideP99, AloneP99, HAProxy, new(1.3), 1.0},
	{9, "held-time", "5,000 held answered ÷ direct", HeldTime, "", Direct, new(3.0), 1.5},
	{9, "held-lost", "held connections lost", HeldLost, "", "", new(0.0), 0.0},
	{10, "balance", "imbalance of 8 backends", Balance, "", HAProxy, new(1.2), 1.05},
}

// Verdict says how a figure compares with its target.
type Verdict string

const (
	MetAim    Verdict = "met aim"
	MetMust   Verdict = "met must"
	Missed    Verdict = "missed"
	MissedAim Verdict = "missed aim" // where there is no must
)

func (t Target) judge(value float64) Verdict {
	switch {
	case value <= t.Aim:
		return MetAim
	case t.Must == nil:
		return MissedAim
	case value <= *t.Must:
		return MetMust
	}
	return Missed
}
