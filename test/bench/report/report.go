package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"tpa.dev/tpa/test/stat"
)

// Report is what a run found. Its JSON is for machines.
type Report struct {
	// Seed is what shuffled the arms.
	Seed uint64 `json:"seed"`
	// Machine says what it ran on: kernel, CPU, versions.
	Machine map[string]string `json:"machine"`
	Rows    []Row             `json:"rows"`
	Samples []Sample          `json:"samples"`

	byKey map[key]float64
}

// Place is where a measurement ran. Each has a table of its own.
type Place struct {
	Link string `json:"link"`
	CPUs int    `json:"cpus"`
}

func (p Place) String() string {
	if p.CPUs == 1 {
		return p.Link + ", 1 CPU"
	}
	return fmt.Sprintf("%s, %d CPUs", p.Link, p.CPUs)
}

// Row is one arm's figure of a target in a place.
type Row struct {
	Place
	Arm string `json:"arm"`
	Target
	// Spread is that of the figure over the rounds, of which there were Rounds.
	stat.Spread
	Rounds int `json:"rounds"`
	// Verdict is empty for arms that are not TPA's.
	Verdict Verdict `json:"verdict,omitempty"`
}

// key tells samples apart.
type key struct {
	Place
	arm, metric string
	round       int
}

// New computes the rows. Samples that cannot be told apart, of an unknown metric, or that are no number are an error.
func New(seed uint64, machine map[string]string, samples []Sample) (*Report, error) {
	r := &Report{Seed: seed, Machine: machine, Samples: samples, byKey: make(map[key]float64, len(samples))}
	for _, s := range samples {
		k := key{Place{s.Link, s.CPUs}, s.Arm, s.Metric, s.Round}
		_, twice := r.byKey[k]
		known := slices.ContainsFunc(Metrics, func(m Metric) bool { return m.Name == s.Metric })
		if twice || !known || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			return nil, fmt.Errorf("sample %+v: twice, unknown or no number", s)
		}
		r.byKey[k] = s.Value
	}
	for _, place := range r.places() {
		for _, target := range Targets {
			for _, arm := range r.arms(place) {
				if row, ok := r.row(place, target, arm); ok {
					r.Rows = append(r.Rows, row)
				}
			}
		}
	}
	return r, nil
}

// WriteJSON writes all of it.
func (r *Report) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}
