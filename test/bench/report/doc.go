// Package report turns the samples of a benchmark into what people and machines read: a table, JSON, a chart, and a
// verdict on each figure that has a target.
//
//	r, err := report.New(seed, machine, samples)
//	err = r.WriteTable(os.Stdout)
//
// All statistics are medians of per-round ratios: the arms of one round ran within seconds of each other, so what else the
// machine did then hits them alike, which it does not over a whole run.
//
// It measures nothing.
package report
