package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// prefix is of the labels of https://github.com/opencontainers/image-spec/blob/main/annotations.md.
const prefix = "org.opencontainers.image."

// labels are those that an image must have.
var labels = []string{"title", "description", "source", "licenses", "version", "revision"}

// machines are the ELF machines of Go's architectures.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// image is an image's configuration, with its files.
type image struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Config       struct {
		User       string
		Entrypoint []string
		Labels     map[string]string
	} `json:"config"`

	files map[string][]byte
}

// load reads a docker-archive.
func load(file string) (*image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	archive, err := untar(f)
	if err != nil {
		return nil, err
	}
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(archive["manifest.json"], &manifest); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(manifest) != 1 {
		return nil, fmt.Errorf("%d images, want one", len(manifest))
	}
	i := &image{files: map[string][]byte{}}
	if err := json.Unmarshal(archive[path.Clean(manifest[0].Config)], i); err != nil {
		return nil, fmt.Errorf("%s: %w", manifest[0].Config, err)
	}
	for _, layer := range manifest[0].Layers {
		files, err := untar(bytes.NewReader(archive[path.Clean(layer)]))
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", layer, err)
		}
		for name, data := range files {
			i.files[name] = data
		}
	}
	return i, nil
}

// untar reads the regular files of a tar, by their names without a leading slash.
func untar(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for t := tar.NewReader(r); ; {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(path.Clean(header.Name), "/")] = data
	}
}

// check says what is wrong with an image for an architecture.
func (i *image) check(arch string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if i.OS != "linux" || i.Architecture != arch {
		wrong("it is for %s/%s, want linux/%s", i.OS, i.Architecture, arch)
	}
	if i.Config.User != "65532:65532" {
		wrong("it runs as %q, want 65532:65532", i.Config.User)
	}
	for _, label := range labels {
		if i.Config.Labels[prefix+label] == "" {
			wrong("no label %s%s", prefix, label)
		}
	}
	if len(i.files["LICENSE"]) == 0 {
		wrong("no LICENSE")
	}
	if len(i.Config.Entrypoint) != 1 {
		wrong("entrypoint %q, want one program", i.Config.Entrypoint)
		return errors.Join(errs...)
	}
	program := i.Config.Entrypoint[0]
	if err := static(i.files[strings.TrimPrefix(program, "/")], arch); err != nil {
		wrong("%s: %w", program, err)
	}
	return errors.Join(errs...)
}

// static says why a program is no static one for an architecture.
func static(program []byte, arch string) error {
	want, ok := machines[arch]
	if !ok {
		return fmt.Errorf("architecture %q is not known", arch)
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Machine != want {
		return fmt.Errorf("it is for %s, want %s", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("it is linked dynamically: it has a segment %s", p.Type)
		}
	}
	return nil
}
