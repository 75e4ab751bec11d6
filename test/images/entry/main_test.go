package main

import (
	"archive/tar"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func writeSeed(t *testing.T, headers ...tar.Header) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seed.tar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	for _, header := range headers {
		if err := archive.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunUnpacksOnceAndPassesTheExitCode(t *testing.T) {
	seed := writeSeed(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o700},
		tar.Header{Typeflag: tar.TypeDir, Name: "./base/", Mode: 0o700},
		tar.Header{Typeflag: tar.TypeReg, Name: "./base/1", Mode: 0o600},
	)
	data := filepath.Join(t.TempDir(), "data")
	for range 2 { // the second time it finds what the first one left
		err := run(t.Context(), []string{"--seed", seed, "--data", data, "--", "sh", "-c", "test -f $0/base/1 && exit 7", data})
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 7 {
			t.Fatalf("got %v, want the server's exit code 7", err)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, header := range map[string]tar.Header{
		"a way out": {Typeflag: tar.TypeReg, Name: "../outside", Mode: 0o600},
		"a link":    {Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc"},
	} {
		data := filepath.Join(t.TempDir(), "data")
		if err := unpackOnce(writeSeed(t, header), data); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: left data behind", name)
		}
	}
}
