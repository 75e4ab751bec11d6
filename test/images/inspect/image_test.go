package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// program is the beginning of an ELF file, with a segment.
func program(machine elf.Machine, segment elf.ProgType) string {
	var b bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	_ = binary.Write(&b, binary.LittleEndian, header) // into memory
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(segment)})
	return b.String()
}

func tarOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o755, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// saved writes an image of TPA's for arm64 with something about it changed.
func saved(t *testing.T, change func(*image, map[string]string)) string {
	t.Helper()
	i := &image{OS: "linux", Architecture: "arm64"}
	i.Config.User, i.Config.Entrypoint, i.Config.Labels = "65532:65532", []string{"/proxy"}, map[string]string{}
	for _, label := range labels {
		i.Config.Labels[prefix+label] = "x"
	}
	files := map[string]string{"LICENSE": "Apache", "proxy": program(elf.EM_AARCH64, elf.PT_LOAD)}
	change(i, files)
	config, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	license := tarOf(t, map[string]string{"./LICENSE": files["LICENSE"]})
	delete(files, "LICENSE")
	file := filepath.Join(t.TempDir(), "image.tar")
	archive := tarOf(t, map[string]string{
		"manifest.json": `[{"Config":"c.json","Layers":["a/layer.tar","b/layer.tar"]}]`, "c.json": string(config),
		"a/layer.tar": license, "b/layer.tar": tarOf(t, files),
	})
	if err := os.WriteFile(file, []byte(archive), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestInspect(t *testing.T) {
	for name, tt := range map[string]struct {
		arch   string
		change func(*image, map[string]string)
		err    string
	}{
		"as it should be":      {"arm64", func(*image, map[string]string) {}, ""},
		"for another":          {"amd64", func(*image, map[string]string) {}, "it is for linux/arm64, want linux/amd64\n/proxy: it is for EM_AARCH64, want EM_X86_64"},
		"for an unknown one":   {"z80", func(i *image, _ map[string]string) { i.Architecture = "z80" }, `architecture "z80" is not known`},
		"another's program":    {"arm64", func(_ *image, f map[string]string) { f["proxy"] = program(elf.EM_X86_64, elf.PT_LOAD) }, "/proxy: it is for EM_X86_64, want EM_AARCH64"},
		"a dynamic program":    {"arm64", func(_ *image, f map[string]string) { f["proxy"] = program(elf.EM_AARCH64, elf.PT_INTERP) }, "segment PT_INTERP"},
		"a shared library":     {"arm64", func(_ *image, f map[string]string) { f["proxy"] = program(elf.EM_AARCH64, elf.PT_DYNAMIC) }, "segment PT_DYNAMIC"},
		"a script":             {"arm64", func(_ *image, f map[string]string) { f["proxy"] = "#!/bin/sh\n" + strings.Repeat("#", 100) }, "/proxy: bad magic number"},
		"no program":           {"arm64", func(_ *image, f map[string]string) { delete(f, "proxy") }, "/proxy: EOF"},
		"another's entrypoint": {"arm64", func(i *image, _ map[string]string) { i.Config.Entrypoint = []string{"/bin/sh", "-c"} }, "want one program"},
		"root":                 {"arm64", func(i *image, _ map[string]string) { i.Config.User = "" }, `it runs as "", want 65532:65532`},
		"no version":           {"arm64", func(i *image, _ map[string]string) { delete(i.Config.Labels, prefix+"version") }, "no label org.opencontainers.image.version"},
		"no licence":           {"arm64", func(_ *image, f map[string]string) { f["LICENSE"] = "" }, "no LICENSE"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inspect(tt.arch, []string{saved(t, tt.change)})
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
	if err := inspect("arm64", []string{"/does/not/exist"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
