//go:build integration

package truth

import "testing"

// TestTruth plays every table.
func TestTruth(t *testing.T) {
	var count tally
	t.Cleanup(func() {
		t.Logf("truth table: %d rows by %d clients; %d cells run, %d passed", rows(), len(tables), count.run.Load(), count.passed.Load())
	})
	for _, table := range tables {
		t.Run(table.client.name, func(t *testing.T) {
			for _, row := range table.rows {
				t.Run(row.edit.name, func(t *testing.T) {
					t.Parallel()
					row.play(t, table.client, &count)
				})
			}
		})
	}
}

func rows() int {
	n := 0
	for _, table := range tables {
		n += len(table.rows)
	}
	return n
}
