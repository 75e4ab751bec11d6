package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Ranges are the figures that are accepted of TPA, by place and by name of the target. They are wide enough for noise: what
// leaves them is a change of the data path.
type Ranges map[string]map[string]Range

// Range is the lowest and the highest figure accepted. Below the lowest, the range is out of date.
type Range [2]float64

// ReadRanges reads a file of them.
func ReadRanges(path string) (Ranges, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ranges Ranges
	if err := json.Unmarshal(text, &ranges); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ranges, nil
}

// Check names each figure of TPA that is outside its range or has none, and those that are missing of a place where
// anything was measured.
func (r *Report) Check(ranges Ranges) error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, row := range r.Rows {
		if row.Arm != TPA {
			continue
		}
		accepted, ok := ranges[row.Place.String()][row.Name]
		switch {
		case !ok:
			say("%s: %s is %.2f, and no range is accepted yet", row.Place, row.Name, row.Median)
		case row.Median < accepted[0] || row.Median > accepted[1]:
			say("%s: %s is %.2f, accepted are %.2f to %.2f", row.Place, row.Name, row.Median, accepted[0], accepted[1])
		}
	}
	for _, place := range r.places() {
		for _, name := range slices.Sorted(maps.Keys(ranges[place.String()])) {
			if !slices.ContainsFunc(r.Rows, func(row Row) bool {
				return row.Arm == TPA && row.Place == place && row.Name == name
			}) {
				say("%s: %s was not measured", place, name)
			}
		}
	}
	return errors.Join(wrong...)
}
