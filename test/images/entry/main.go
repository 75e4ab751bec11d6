// Command entry is the first process of a test image with data: it unpacks them, unless they are there, and runs the
// server.
//
//	entry --seed /seed.tar --data /data/postgres --stop INT -- /usr/lib/postgresql/15/bin/postgres -D /data/postgres
//
// The data are made when the image is built, which takes seconds, so that a start takes none. They belong to whichever
// user the container runs as. SIGTERM, which a kubelet sends, is passed on as the --stop signal.
//
// It reaps no orphans: the servers that it runs reap their own.
package main

import (
	"archive/tar"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	err := run(context.Background(), os.Args[1:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		os.Exit(exit.ExitCode())
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal("entry: ", err)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("entry", flag.ContinueOnError)
	seed := flags.String("seed", "", "tar with the data")
	data := flags.String("data", "", "directory of the data; it is made, and its parent must be writable")
	stop := flags.String("stop", "TERM", "signal that ends the server: TERM, INT or QUIT")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT}
	end, ok := signals[*stop]
	if !ok || flags.NArg() == 0 {
		return errors.New("usage: entry [--seed TAR --data DIR] [--stop TERM|INT|QUIT] -- COMMAND [ARG]")
	}
	// From here on a SIGTERM is kept for the server, even while it is not there yet.
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)

	if *seed != "" {
		if err := unpackOnce(*seed, *data); err != nil {
			return fmt.Errorf("seed %s: %w", *seed, err)
		}
	}
	server := exec.CommandContext(ctx, flags.Arg(0), flags.Args()[1:]...)
	server.Stdin, server.Stdout, server.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	go func() {
		for range terminate {
			// An error means that it has ended already, which Wait reports.
			_ = server.Process.Signal(end)
		}
	}()
	return server.Wait()
}

// unpackOnce unpacks the seed beside the data and renames it, so that data are complete or not there at all.
func unpackOnce(seed, data string) error {
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	partial := data + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := unpack(seed, partial); err != nil {
		return err
	}
	return os.Rename(partial, data)
}

func unpack(seed, to string) error {
	file, err := os.Open(seed)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	// Names that lead out of the directory are refused.
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(root, header, archive); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name, mode := filepath.Clean(header.Name), header.FileInfo().Mode().Perm()
	switch header.Typeflag {
	case tar.TypeDir:
		if name == "." {
			return nil
		}
		return root.Mkdir(name, mode)
	case tar.TypeReg:
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		if _, err := io.Copy(file, content); err != nil {
			file.Close()
			return err
		}
		return file.Close()
	default:
		return fmt.Errorf("type %q is neither a file nor a directory", header.Typeflag)
	}
}
