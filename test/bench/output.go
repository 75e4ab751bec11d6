package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"tpa.dev/tpa/test/bench/report"
)

// publish writes a report wherever it is wanted, and then checks it.
func publish(r *report.Report, o options) error {
	if err := errors.Join(r.WriteTable(os.Stdout), writeFile(o.json, r.WriteJSON)); err != nil {
		return err
	}
	if err := draw(r, o); err != nil {
		return err
	}
	if o.check == "" {
		return nil
	}
	ranges, err := report.ReadRanges(o.check)
	if err != nil {
		return err
	}
	if err := r.Check(ranges); err != nil {
		return fmt.Errorf("figures are not as %s has them:\n%w", o.check, err)
	}
	fmt.Printf("all figures are within the ranges of %s\n", o.check)
	return nil
}

// draw draws the chart of the first table. A run that leaves arms or metrics out may have nothing to draw.
func draw(r *report.Report, o options) error {
	var chart bytes.Buffer
	if err := r.WriteChart(&chart, report.Place{Link: o.links[0], CPUs: o.cpus[0]}); err != nil {
		say("no chart: %v", err)
		return nil
	}
	return writeFile(o.chart, func(out io.Writer) error { _, err := chart.WriteTo(out); return err })
}

// writeFile writes a file, unless it has no name.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
