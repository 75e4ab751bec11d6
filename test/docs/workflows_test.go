package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestActionsArePinned: a workflow uses each action by its commit, and says which version that is. One action has one pin.
func TestActionsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`uses: ([\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$`)
	pins := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); !strings.Contains(line, "uses:") {
				continue
			}
			m := pinned.FindStringSubmatch(line)
			if m == nil {
				t.Errorf("%s: %s\nwrite uses: OWNER/NAME@COMMIT # vX.Y.Z", file, line)
				continue
			}
			if other, ok := pins[m[1]]; ok && other != m[2] {
				t.Errorf("%s: %s is pinned to %s elsewhere", file, m[1], other)
			}
			pins[m[1]] = m[2]
		}
	}
	if len(pins) == 0 {
		t.Error("no workflow uses an action")
	}
}
