package main

import (
	"archive/tar"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var epoch = time.Unix(0, 0)

// source is a file or directory of this machine and its place in the image.
type source struct{ From, To string }

// entry is one file, directory or symbolic link of a layer.
type entry struct {
	from string // content; empty for a directory or link
	link string
	mode fs.FileMode // with the type bits
	uid  int
}

// collect gathers what belongs into a layer, by path in the image.
func collect(spec imageSpec) (map[string]entry, error) {
	entries := map[string]entry{}
	for _, s := range spec.Sources {
		if err := addSource(entries, s); err != nil {
			return nil, err
		}
	}
	if spec.Libs {
		if err := addLibraries(entries); err != nil {
			return nil, err
		}
	}
	for _, dir := range spec.Dirs {
		if err := addDir(entries, dir); err != nil {
			return nil, err
		}
	}
	// Every parent is spelled out, or the unpacker invents its mode.
	for name := range maps.Clone(entries) {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, ok := entries[dir]; !ok {
				entries[dir] = entry{mode: fs.ModeDir | 0o755}
			}
		}
	}
	return entries, nil
}

func addSource(entries map[string]entry, s source) error {
	info, err := os.Stat(s.From)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		to := s.To
		if strings.HasSuffix(to, "/") {
			to += filepath.Base(s.From)
		}
		entries[path.Clean("/"+to)] = entry{from: s.From, mode: info.Mode()}
		return nil
	}
	// With the slash a symbolic link to a directory is followed here, and only here.
	root := strings.TrimSuffix(s.From, "/") + "/"
	return filepath.WalkDir(root, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, from)
		if err != nil {
			return err
		}
		to := path.Join("/", s.To, filepath.ToSlash(relative))
		info, err := d.Info()
		if err != nil || to == "/" {
			return err
		}
		switch {
		case d.IsDir():
			entries[to] = entry{mode: info.Mode()}
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(from)
			if err != nil {
				return err
			}
			entries[to] = entry{link: link, mode: fs.ModeSymlink | 0o777}
		case d.Type().IsRegular():
			entries[to] = entry{from: from, mode: info.Mode()}
		}
		return nil
	})
}

func addDir(entries map[string]entry, spec string) error {
	parts := strings.Split(spec, ":")
	if len(parts) != 3 {
		return fmt.Errorf("--dir %q: must be PATH:MODE:UID, such as /data:0700:999", spec)
	}
	mode, err := strconv.ParseUint(parts[1], 8, 12)
	if err != nil {
		return fmt.Errorf("--dir %q: mode %q is not octal", spec, parts[1])
	}
	uid, err := strconv.Atoi(parts[2])
	if err != nil {
		return fmt.Errorf("--dir %q: %q is not a user id", spec, parts[2])
	}
	bits := fs.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		bits |= fs.ModeSticky
	}
	entries[path.Clean("/"+parts[0])] = entry{mode: fs.ModeDir | bits, uid: uid}
	return nil
}

// addLibraries adds, at their own paths, the shared libraries and the loader of every
// program and library so far. Libraries that come with the sources are looked for
// there first, and are in the image already.
func addLibraries(entries map[string]entry) error {
	own := map[string]bool{}
	var search []string
	for name, e := range entries {
		if e.from != "" {
			own[e.from] = true
		}
		if dir := filepath.Dir(e.from); strings.Contains(path.Base(name), ".so") && !slices.Contains(search, dir) && e.from != "" {
			search = append(search, dir)
		}
	}
	slices.Sort(search)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		file := entries[name].from
		if file == "" {
			continue
		}
		program, dynamic := inspectELF(file)
		if !dynamic {
			continue
		}
		cmd := exec.Command("ldd", file)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "LD_LIBRARY_PATH="+strings.Join(append(search, os.Getenv("LD_LIBRARY_PATH")), ":"))
		out, err := cmd.Output()
		if err != nil && !strings.Contains(string(out), "statically linked") {
			return fmt.Errorf("ldd %s: %w", file, err)
		}
		libraries, missing := parseLdd(string(out))
		if len(missing) > 0 {
			err := fmt.Errorf("%s needs %s, not found on this machine", file, strings.Join(missing, ", "))
			if program {
				return err
			}
			// A plug-in that nobody may ever load, such as PostgreSQL's compiler.
			fmt.Fprintln(os.Stderr, "image: leaving it so:", err)
		}
		for _, library := range libraries {
			if own[library] {
				continue
			}
			if _, ok := entries[path.Clean(library)]; !ok {
				entries[path.Clean(library)] = entry{from: library, mode: 0o755}
			}
		}
	}
	return nil
}

// inspectELF says whether a file is loaded by a loader, and whether it is a program or
// else a library.
func inspectELF(file string) (program, dynamic bool) {
	f, err := elf.Open(file)
	if err != nil {
		return false, false
	}
	defer f.Close()
	return f.Section(".interp") != nil, f.Section(".dynamic") != nil
}

// parseLdd reads ldd's output: "libc.so.6 => /lib/libc.so.6 (0x...)", the loader as
// "/lib64/ld-linux-x86-64.so.2 (0x...)", and the kernel's own linux-vdso, which is no file.
func parseLdd(out string) (libraries, missing []string) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, "=> not found"):
			missing = append(missing, fields[0])
		case len(fields) >= 3 && fields[1] == "=>" && strings.HasPrefix(fields[2], "/"):
			libraries = append(libraries, fields[2])
		case len(fields) == 2 && strings.HasPrefix(fields[0], "/"):
			libraries = append(libraries, fields[0])
		}
	}
	return libraries, missing
}

func writeLayer(w io.Writer, entries map[string]entry) error {
	layer := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if err := writeEntry(layer, strings.TrimPrefix(name, "/"), entries[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return layer.Close()
}

func writeEntry(layer *tar.Writer, name string, e entry) error {
	header := &tar.Header{Name: name, Mode: int64(e.mode.Perm()), Uid: e.uid, Gid: e.uid, ModTime: epoch, Format: tar.FormatPAX}
	if e.mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case e.mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return layer.WriteHeader(header)
	case e.link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		return layer.WriteHeader(header)
	}
	f, err := os.Open(e.from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := layer.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(layer, f)
	return err
}
