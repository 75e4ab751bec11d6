package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Programs are those whose calls count within a sentence, too.
var Programs = []string{"make", "kubectl", "helm", "docker", "go", "bin/cluster", "bin/bench"}

// Document is one Markdown file.
type Document struct {
	File     string // relative to the repository
	Commands []Command
	Links    []Link
	Anchors  []string // of its headings, as GitHub names them
	Unnamed  []int    // lines of fenced blocks that do not say their language
}

// Command is one command of a document.
type Command struct {
	File   string
	Line   int
	Text   string // without the comment behind it
	Inline bool   // within a sentence
}

func (c Command) String() string { return fmt.Sprintf("%s:%d: %s", c.File, c.Line, c.Text) }

// Link is one link or picture of a document.
type Link struct {
	Line int
	To   string
}

// Documents are those of the project.
type Documents []Document

// Commands are those of all documents.
func (d Documents) Commands() []Command {
	var all []Command
	for _, document := range d {
		all = append(all, document.Commands...)
	}
	return all
}

// Read reads every Markdown file below root that is the project's own.
func Read(root string) (Documents, error) {
	var all Documents
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", ".cluster", "bin", "dist", "testdata", "node_modules"}, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, parse(file, source))
		return nil
	})
	return all, err
}

func parse(file string, source []byte) Document {
	d := Document{File: file}
	line := func(offset int) int { return 1 + bytes.Count(source[:offset], []byte("\n")) }
	seen := map[string]int{}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	at := 0 // the offset of the last block: inlines do not know theirs
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			at = n.Lines().At(0).Start
		}
		switch n := n.(type) {
		case *ast.Heading:
			d.Anchors = append(d.Anchors, anchor(plain(n, source), seen))
		case *ast.CodeBlock:
			d.block(n.Lines(), source, line)
		case *ast.FencedCodeBlock:
			switch language := string(n.Language(source)); language {
			case "sh":
				d.block(n.Lines(), source, line)
			case "":
				d.Unnamed = append(d.Unnamed, line(at))
			}
		case *ast.CodeSpan:
			code := plain(n, source)
			if program, _, more := strings.Cut(code, " "); more && slices.Contains(Programs, program) {
				d.Commands = append(d.Commands, Command{file, line(at), code, true})
			}
		case *ast.Link:
			d.Links = append(d.Links, Link{line(at), string(n.Destination)})
		case *ast.Image:
			d.Links = append(d.Links, Link{line(at), string(n.Destination)})
		}
		return ast.WalkContinue, nil
	})
	return d
}

// behind is a comment behind a command.
var behind = regexp.MustCompile(`(^|\s)#.*$`)

// block adds the commands of a block of code; one that ends in a backslash goes on in the next line.
func (d *Document) block(lines *text.Segments, source []byte, line func(int) int) {
	var command string
	for i := range lines.Len() {
		segment := lines.At(i)
		part := strings.TrimSpace(behind.ReplaceAllString(strings.TrimSpace(string(segment.Value(source))), ""))
		command = strings.TrimSpace(command + " " + part)
		if head, more := strings.CutSuffix(command, `\`); more {
			command = strings.TrimSpace(head)
			continue
		}
		if command != "" {
			d.Commands = append(d.Commands, Command{d.File, line(segment.Start), command, false})
		}
		command = ""
	}
}

// plain is a node's text without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if t, ok := child.(*ast.Text); ok {
			b.Write(t.Segment.Value(source))
		} else {
			b.WriteString(plain(child, source))
		}
	}
	return b.String()
}

// dropped is what GitHub leaves out of an anchor.
var dropped = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)

// anchor is how GitHub links to a heading; the second of a name gets a number.
func anchor(heading string, seen map[string]int) string {
	name := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
	n := seen[name]
	seen[name]++
	if n > 0 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return name
}
