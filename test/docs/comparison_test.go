package docs

import (
	"strings"
	"testing"
)

// TestComparison: the short comparison with others says what the whole one does, row by row.
func TestComparison(t *testing.T) {
	first, rest, ok := strings.Cut(script(t, "README.md"), "\n## Install\n")
	_, whole, found := strings.Cut(rest, "\n## Beside others\n")
	if !ok || !found {
		t.Fatal("the README has no section Install, or none Beside others after it")
	}
	_, short, _ := strings.Cut(first, "](#beside-others)")
	rows := 0
	for row := range strings.Lines(short) {
		if !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| | ") {
			continue
		}
		rows++
		if !strings.Contains(whole, "\n"+row) {
			t.Errorf("the whole comparison has no row\n%s", row)
		}
	}
	if rows < 5 {
		t.Errorf("the short comparison has only %d rows", rows)
	}
}
