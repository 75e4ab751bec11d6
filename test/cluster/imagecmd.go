package main

import (
	"errors"
	"flag"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

const imageUsage = `cluster image makes an image of files of this machine, as a docker-archive with one layer.

  cluster image --name NAME:TAG --out FILE.tar [flags] SRC[:DEST]...

SRC is a file or a directory (its content goes into DEST). Without DEST it becomes
/<last element of SRC>. The same input gives the same bytes.

  --entrypoint ARG      repeat for each argument
  --env K=V             repeat
  --user UID            default: root
  --dir PATH:MODE:UID   an empty directory, such as /data:0700:999; repeat
  --libs                add the shared libraries and the loader that the programs need,
                        at the paths they have on this machine

  cluster image --name app:1 --out app.tar --entrypoint /app bin/app
  cluster image --name redis:7 --out redis.tar --libs --user 999 --dir /data:0700:999 \
      --entrypoint /usr/bin/redis-server /usr/bin/redis-server:/usr/bin/
`

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func runImage(args []string) error {
	spec, err := parseImage(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(imageUsage)
		return nil
	}
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := writeImage(spec); err != nil {
		return fmt.Errorf("image %s: %w", spec.Name, err)
	}
	return nil
}

func parseImage(args []string) (imageSpec, error) {
	var spec imageSpec
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.Usage = func() {}
	flags.StringVar(&spec.Name, "name", "", "")
	flags.StringVar(&spec.Out, "out", "", "")
	flags.StringVar(&spec.User, "user", "", "")
	flags.BoolVar(&spec.Libs, "libs", false, "")
	flags.Var((*list)(&spec.Entrypoint), "entrypoint", "")
	flags.Var((*list)(&spec.Env), "env", "")
	flags.Var((*list)(&spec.Dirs), "dir", "")
	if err := flags.Parse(args); err != nil {
		return spec, err
	}
	if spec.Name == "" || spec.Out == "" || flags.NArg() == 0 {
		return spec, errors.New("--name, --out and at least one SRC are needed; see `cluster image --help`")
	}
	for _, arg := range flags.Args() {
		from, to, given := strings.Cut(arg, ":")
		if !given {
			abs, err := filepath.Abs(from)
			if err != nil {
				return spec, err
			}
			to = path.Join("/", filepath.Base(abs))
		}
		spec.Sources = append(spec.Sources, source{From: from, To: to})
	}
	return spec, nil
}
