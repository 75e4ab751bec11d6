package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const page = "# One *thing*, `two`!\n\nSee `make unit` and `kubectl`, [there](a.md#b) ![](c.svg).\n\n" +
		"    make x \\\n      A=1    # why\n\n    # only a remark\n    make y\n\n" +
		"```sh\nhelm upgrade web . --set a=#b\n```\n\n```\nwhat?\n```\n\n```yaml\na: 1\n```\n\n## Again\n\n## Again\n"
	want := Document{
		File: "p.md",
		Commands: []Command{
			{"p.md", 3, "make unit", true},
			{"p.md", 6, "make x A=1", false},
			{"p.md", 9, "make y", false},
			{"p.md", 12, "helm upgrade web . --set a=#b", false},
		},
		Links:   []Link{{3, "a.md#b"}, {3, "c.svg"}},
		Anchors: []string{"one-thing-two", "again", "again-1"},
		Unnamed: []int{16},
	}
	if diff := cmp.Diff(want, parse("p.md", []byte(page))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
