package docs

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLinks: what a document links to within the project is there, the heading too.
func TestLinks(t *testing.T) {
	documents := read(t)
	anchors := map[string][]string{}
	for _, d := range documents {
		anchors[d.File] = d.Anchors
	}
	checked := 0
	for _, d := range documents {
		for _, link := range d.Links {
			u, err := url.Parse(link.To)
			if err != nil {
				t.Errorf("%s:%d: %v", d.File, link.Line, err)
				continue
			}
			if u.Scheme != "" {
				if u.Scheme != "https" {
					t.Errorf("%s:%d: %s is not https", d.File, link.Line, link.To)
				}
				continue
			}
			checked++
			file := d.File
			if u.Path != "" {
				file = filepath.Join(filepath.Dir(d.File), u.Path)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s:%d: %s does not exist", d.File, link.Line, link.To)
				continue
			}
			if u.Fragment != "" && strings.HasSuffix(file, ".md") && !slices.Contains(anchors[file], u.Fragment) {
				t.Errorf("%s:%d: %s has no heading #%s", d.File, link.Line, file, u.Fragment)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d links within the project", checked)
	}
}

// TestBlocksSayTheirLanguage: a fenced block without one could hide a command.
func TestBlocksSayTheirLanguage(t *testing.T) {
	for _, d := range read(t) {
		for _, line := range d.Unnamed {
			t.Errorf("%s:%d: say the block's language: sh for commands, text for what is none", d.File, line)
		}
	}
}
