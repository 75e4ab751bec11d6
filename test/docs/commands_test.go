package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

func read(t *testing.T) Documents {
	t.Helper()
	documents, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) < 6 {
		t.Fatalf("only %d documents: this does not look at the project", len(documents))
	}
	return documents
}

// TestEveryCommandIsRun: each command is run by a test, which exists, or there is a reason.
func TestEveryCommandIsRun(t *testing.T) {
	parts := parts(t)
	for _, c := range read(t).Commands() {
		run := By(c)
		if run == nil {
			t.Errorf("%s\nis run by no test: say in test/docs/table.go which one does, or why none", c)
			continue
		}
		switch {
		case run.Test != "":
			folder, name, _ := strings.Cut(run.Test, ".")
			if !slices.Contains(functions(t, folder), name) {
				t.Errorf("%s\nis run by %s, which does not exist", c, run.Test)
			}
		case run.Part != "":
			if !slices.Contains(parts, run.Part) {
				t.Errorf("%s\nis run by `make %s`, which no workflow runs", c, run.Part)
			}
		case run.API, run.Cluster:
			if !slices.ContainsFunc(Walk, func(step string) bool { return step == c.Text || strings.HasPrefix(step, c.Text+" ") }) {
				t.Errorf("%s\nis no step of Walk", c)
			}
		case run.Why == "":
			t.Errorf("%s\nstands in the table without a test or a reason", c)
		}
	}
}

// TestTable: what no document says any more is not in the table, nor in Walk.
func TestTable(t *testing.T) {
	said, called := map[string]bool{}, map[string]bool{}
	for _, c := range read(t).Commands() {
		said[c.Text] = true
		if words := strings.Fields(c.Text); words[0] == "make" && len(words) > 1 {
			called[words[1]] = true
		}
	}
	for text := range table {
		if !said[text] {
			t.Errorf("no document says %q", text)
		}
	}
	for target := range targets {
		if !called[target] {
			t.Errorf("no document says `make %s`", target)
		}
	}
	for _, step := range Walk {
		if !said[step] {
			t.Errorf("no document says %q, a step of Walk", step)
		}
	}
}

// runsDry are the lines of a Makefile for which a dry run would run a recipe, and with .ONESHELL all of it: those that name the
// variable MAKE, or begin with a plus. A file that is included is made and read by a dry run as well.
var runsDry = regexp.MustCompile(`(?m)^[^#\n].*\$[({]MAKE[)}].*$|^\t[ \t@-]*\+.*$|^-?s?include\b.*$`)

// TestDryRun: what runs a recipe by a dry run is known, and the Makefile has nothing of that. TestMake depends on it.
func TestDryRun(t *testing.T) {
	for line, runs := range map[string]bool{
		"\t$(MAKE) e2e": true, "\t@cd x && ${MAKE} e2e": true, "\t# $(MAKE)": true, "\t+go test": true, "\t@ +go test": true, "\t-+go test": true,
		"all: ; $(MAKE) e2e": true, "\t$$(MAKE) e2e": true, "include more.mk": true, "-include more.mk": true,
		"\tgo test": false, "\tmake e2e": false, "# $(MAKE)": false, "MAKEFLAGS += x": false, "\techo a + b": false, "\techo x -exec y {} +": false,
	} {
		makefile := ".ONESHELL:\nall:\n\techo\n" + line + "\n\techo\n"
		if found := runsDry.FindAllString(makefile, -1); (len(found) == 1) != runs || len(found) > 1 {
			t.Errorf("%q: %q, want one: %t", line, found, runs)
		}
	}
	noDryRuns(t, script(t, "Makefile"))
}

// noDryRuns fails at once if a dry run of a Makefile would run something.
func noDryRuns(t *testing.T, makefile string) {
	t.Helper()
	if found := runsDry.FindAllString(makefile, -1); len(found) > 0 {
		t.Fatalf("make --dry-run would run the recipes of\n%s", strings.Join(found, "\n"))
	}
}

// TestMake: each target exists, with its variables, and RUN matches a test.
func TestMake(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	noDryRuns(t, string(makefile))
	scripts := string(makefile) + script(t, "test/images/e2e.sh")
	tried := map[string]bool{}
	for _, c := range read(t).Commands() {
		words, ok := shellWords(c.Text)
		if !ok || words[0] != "make" || tried[c.Text] {
			continue
		}
		tried[c.Text] = true
		cmd := exec.Command("make", append([]string{"--dry-run", "-C", root}, words[1:]...)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // of a make that runs this test
			return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS")
		})
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c, err, out)
		}
		for _, word := range words[2:] {
			name, value, isVariable := strings.Cut(word, "=")
			if !isVariable || !regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).MatchString(scripts) {
				t.Errorf("%s\n%q is no variable of the Makefile", c, word)
			}
			if name == "RUN" {
				matches(t, c, value, tier(t, words[1], string(makefile))...)
			}
		}
	}
	if len(tried) < 20 {
		t.Errorf("only %d commands were tried", len(tried))
	}
}

// TestGoTest: `go test` names a package and a test or benchmark that are there.
func TestGoTest(t *testing.T) {
	for _, c := range read(t).Commands() {
		words, ok := shellWords(c.Text)
		if !ok || len(words) < 3 || words[0] != "go" || words[1] != "test" {
			continue
		}
		folder := strings.TrimPrefix(words[2], "./")
		for i, word := range words[:len(words)-1] {
			if word == "-run" && words[i+1] != "none" || word == "-bench" {
				matches(t, c, words[i+1], folder)
			}
		}
		if len(functions(t, folder)) == 0 {
			t.Errorf("%s\nthere is no test in %s", c, folder)
		}
	}
}

// TestFlags: each flag of a program of the project exists.
func TestFlags(t *testing.T) {
	folders := map[string]string{
		"bench": "test/bench", "bench-check": "test/bench", "bin/bench": "test/bench", "bench-size": "test/size", "bench-wake": "test/wake",
		"bench-budget": "test/limits", "bench-rest": "test/limits", "soak": "test/soak", "soak-faults": "test/soak",
	}
	flag := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for _, c := range read(t).Commands() {
		words, ok := shellWords(c.Text)
		if !ok {
			continue
		}
		program, flags := words[0], words[1:]
		if program == "make" && len(words) > 2 {
			program, flags = words[1], nil
			for _, word := range words[2:] {
				if args, isArgs := strings.CutPrefix(word, "ARGS="); isArgs {
					flags = append(flags, args)
				}
			}
		}
		folder, ok := folders[program]
		for _, found := range flag.FindAllStringSubmatch(strings.Join(flags, " "), -1) {
			if ok && !strings.Contains(source(t, folder), fmt.Sprintf("%q", found[1])) {
				t.Errorf("%s\n%s has no flag --%s", c, folder, found[1])
			}
		}
	}
}

// shellWords are a command's words, without the quotes around them; false if it is more than a simple command.
func shellWords(text string) ([]string, bool) {
	if strings.ContainsAny(text, "|;&$`<>") {
		return nil, false
	}
	var words []string
	for _, word := range regexp.MustCompile(`(?:[^\s']|'[^']*')+`).FindAllString(text, -1) {
		words = append(words, strings.ReplaceAll(word, "'", ""))
	}
	return words, len(words) > 1
}

// matches fails unless the expression matches a function of the folders, as `go test -run` takes it.
func matches(t *testing.T, c Command, expression string, folders ...string) {
	t.Helper()
	first, _, _ := strings.Cut(expression, "/")
	re, err := regexp.Compile(first)
	if err != nil {
		t.Errorf("%s: %v", c, err)
		return
	}
	for _, folder := range folders {
		if slices.ContainsFunc(functions(t, folder), re.MatchString) {
			return
		}
	}
	t.Errorf("%s\n%s matches no test in %s", c, expression, strings.Join(folders, ", "))
}

// tier are the folders whose tests a target runs.
func tier(t *testing.T, target, makefile string) []string {
	t.Helper()
	switch target {
	case "e2e":
		return []string{"test/e2e"}
	case "faults":
		return []string{"test/soak/fault"}
	case "integration":
		var folders []string
		for _, line := range regexp.MustCompile(`(?m)^INTEGRATION [:+]= (.*)$`).FindAllStringSubmatch(makefile, -1) {
			folders = append(folders, strings.Fields(strings.NewReplacer("./", "", "/...", "").Replace(line[1]))...)
		}
		return folders
	}
	t.Errorf("`make %s` takes no RUN", target)
	return nil
}

// functions are the tests and benchmarks of a folder, whatever their build tags.
func functions(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}

// source is all Go of a folder but its tests.
func source(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			b.WriteString(script(t, filepath.Join(folder, filepath.Base(file))))
		}
	}
	return b.String()
}

func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parts are what the workflows pass to make: a part of a matrix, or a target by name.
func parts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	var all []string
	for _, file := range files {
		var workflow struct {
			Jobs map[string]struct {
				Strategy struct {
					Matrix struct {
						Include []struct {
							Part string `json:"part"`
						} `json:"include"`
					} `json:"matrix"`
				} `json:"strategy"`
				Steps []struct {
					Run string `json:"run"`
				} `json:"steps"`
			} `json:"jobs"`
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, job := range workflow.Jobs {
			makesPart := false
			for _, step := range job.Steps {
				makesPart = makesPart || strings.Contains(step.Run, `make "$PART"`)
				for _, m := range regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`).FindAllStringSubmatch(step.Run, -1) {
					all = append(all, m[1])
				}
			}
			for _, include := range job.Strategy.Matrix.Include {
				if makesPart {
					all = append(all, include.Part)
				}
			}
		}
	}
	return all
}
