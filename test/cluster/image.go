package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// imageSpec says what to make an image of.
type imageSpec struct {
	Name       string // NAME:TAG
	Out        string // the archive to write
	Entrypoint []string
	Env        []string // K=V
	User       string   // UID or UID:GID; root if empty
	Dirs       []string // PATH:MODE:UID, empty directories
	Libs       bool     // add the shared libraries of all programs
	Sources    []source
}

// writeImage writes a docker-archive of one layer. The same files give the same
// bytes: entries are sorted, owned by root and of the year 1970.
func writeImage(spec imageSpec) error {
	if !strings.Contains(spec.Name, ":") {
		return fmt.Errorf("image name %q must be NAME:TAG", spec.Name)
	}
	entries, err := collect(spec)
	if err != nil {
		return err
	}
	// On disk, as a PostgreSQL is too big to be held twice in memory.
	layer, err := os.CreateTemp("", "tpa-layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	digest := sha256.New()
	if err := writeLayer(io.MultiWriter(layer, digest), entries); err != nil {
		return err
	}
	config, err := imageConfig(spec, hex.EncodeToString(digest.Sum(nil)))
	if err != nil {
		return err
	}
	out, err := os.Create(spec.Out + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := writeArchive(out, spec.Name, config, layer); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), spec.Out)
}

func imageConfig(spec imageSpec, layer string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"created":      "1970-01-01T00:00:00Z",
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": spec.Entrypoint,
			"Env":        append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, spec.Env...),
			"User":       spec.User,
			"WorkingDir": "/",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layer}},
	})
}

func writeArchive(w io.Writer, name string, config []byte, layer *os.File) error {
	digest := sha256.Sum256(config)
	configName := hex.EncodeToString(digest[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	size, err := layer.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, file := range []struct {
		name    string
		size    int64
		content io.Reader
	}{
		{"manifest.json", int64(len(manifest)), bytes.NewReader(manifest)},
		{configName, int64(len(config)), bytes.NewReader(config)},
		{"layer.tar", size, layer},
	} {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: file.size, ModTime: epoch}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, file.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// archiveTags reads the names of the images in a docker-archive, or none from an OCI
// one.
func archiveTags(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Name != "manifest.json" {
			continue
		}
		var manifest []struct{ RepoTags []string }
		if err := json.NewDecoder(archive).Decode(&manifest); err != nil {
			return nil, err
		}
		var tags []string
		for _, image := range manifest {
			tags = append(tags, image.RepoTags...)
		}
		return tags, nil
	}
}
