package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestImageIsDeterministic(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	for _, name := range []string{"b", "a", "sub/c"} {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	var images [2][]byte
	for i := range images {
		spec := imageSpec{
			Name: "app:1", Out: filepath.Join(dir, "app.tar"), Entrypoint: []string{"/opt/a"}, User: "7",
			Dirs: []string{"/data:0700:7"}, Sources: []source{{tree, "/opt"}, {filepath.Join(tree, "b"), "/usr/bin/"}},
		}
		if err := writeImage(spec); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(spec.Out)
		if err != nil {
			t.Fatal(err)
		}
		images[i] = data
		now := time.Now().Add(time.Hour)
		if err := os.Chtimes(filepath.Join(tree, "a"), now, now); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of the same files differ")
	}
	tags, err := archiveTags(filepath.Join(dir, "app.tar"))
	if err != nil || !reflect.DeepEqual(tags, []string{"app:1"}) {
		t.Errorf("archiveTags = %v, %v", tags, err)
	}
	want := map[string]string{
		"data/": "0700 7", "opt/": "0755 0", "opt/a": "0755 0", "opt/b": "0755 0", "opt/link": "0777 0 a",
		"opt/sub/": "0755 0", "opt/sub/c": "0755 0", "usr/": "0755 0", "usr/bin/": "0755 0", "usr/bin/b": "0755 0",
	}
	if got := layerOf(t, images[0]); !reflect.DeepEqual(got, want) {
		t.Errorf("layer has %v\nwant %v", got, want)
	}
}

// layerOf lists the layer of an archive: mode, owner and link target by name.
func layerOf(t *testing.T, image []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for archive := tar.NewReader(bytes.NewReader(image)); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatal("no layer:", err)
		}
		if header.Name != "layer.tar" {
			continue
		}
		for layer := tar.NewReader(archive); ; {
			header, err := layer.Next()
			if err == io.EOF {
				return files
			}
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = describe(header)
		}
	}
}

func TestParseLdd(t *testing.T) {
	libraries, missing := parseLdd("\tlinux-vdso.so.1 (0x7ffc)\n" +
		"\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n" +
		"\tlibodd.so.1 => not found\n" +
		"\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n")
	if want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; !reflect.DeepEqual(libraries, want) {
		t.Errorf("libraries = %v, want %v", libraries, want)
	}
	if want := []string{"libodd.so.1"}; !reflect.DeepEqual(missing, want) {
		t.Errorf("missing = %v, want %v", missing, want)
	}
}

func TestContainsAll(t *testing.T) {
	known := []string{"docker.io/library/app:1", "docker.io/tpa.test/pause:1", "localhost/x:2"}
	for _, test := range []struct {
		names []string
		want  bool
	}{
		{nil, true},
		{[]string{"app:1"}, true},
		{[]string{"app:1", "localhost/x:2"}, true},
		{[]string{"app:2"}, false},
		{[]string{"pp:1"}, false},
	} {
		if got := containsAll(known, test.names); got != test.want {
			t.Errorf("containsAll(%v) = %v", test.names, got)
		}
	}
}

func TestParseImage(t *testing.T) {
	spec, err := parseImage([]string{"--name", "a:1", "--out", "o", "--entrypoint", "/a", "--entrypoint", "-x", "--libs", "bin/a", "/etc/b:/c"})
	if err != nil {
		t.Fatal(err)
	}
	want := imageSpec{Name: "a:1", Out: "o", Entrypoint: []string{"/a", "-x"}, Libs: true,
		Sources: []source{{"bin/a", "/a"}, {"/etc/b", "/c"}}}
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("parseImage = %+v\nwant %+v", spec, want)
	}
	for _, bad := range [][]string{{}, {"--name", "a:1", "x"}, {"--out", "o", "x"}, {"--name", "a:1", "--out", "o"}} {
		if _, err := parseImage(bad); err == nil {
			t.Errorf("parseImage(%v) passes", bad)
		}
	}
}

func describe(header *tar.Header) string {
	text := fmt.Sprintf("%04o %d", header.Mode, header.Uid)
	if header.Linkname != "" {
		text += " " + header.Linkname
	}
	return text
}
