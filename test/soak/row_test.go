package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tpa.dev/tpa/test/kit"
)

func TestTable(t *testing.T) {
	usual := 3 * time.Second
	r := row{Fault: "proxy-killed", What: "it is killed", Normal: 12.4}
	r.add(connection{first: time.Second}, unexcused, usual)
	r.add(connection{first: 4 * time.Second}, unexcused, usual)
	r.add(connection{err: io.EOF}, inside, usual)
	r.add(connection{err: io.EOF}, unnoticed, usual)
	r.add(connection{err: io.EOF}, unexcused, usual)
	r.add(connection{err: kit.Wrongf("no")}, unexcused, usual)
	file := filepath.Join(t.TempDir(), "table.md")
	if err := writeTable(file, []row{r, {Fault: "stuck", err: errors.New("it is")}}); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	if len(lines) != 4 || lines[2] != "| `proxy-killed`: it is killed | 6 | 1 | 1 | 2 | 1 | 4.0 s | 12 s |" ||
		!strings.HasSuffix(lines[3], "| not in time |") {
		t.Errorf("the table:\n%s", table)
	}
}
