// Command inspect checks TPA's images as they were saved: inspect ARCH FILE.tar... It fails if one is not for that
// architecture, its program is not a static one for it, it does not run as TPA's user, or it does not say what it is.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: inspect ARCH FILE.tar...")
		os.Exit(2)
	}
	if err := inspect(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "inspect:", err)
		os.Exit(1)
	}
}

func inspect(arch string, files []string) error {
	var errs []error
	for _, file := range files {
		image, err := load(file)
		if err == nil {
			err = image.check(arch)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		fmt.Printf("%s: %s/%s, %s is static, version %s of %s\n", file, image.OS, image.Architecture, image.Config.Entrypoint[0],
			image.Config.Labels[prefix+"version"], image.Config.Labels[prefix+"source"])
	}
	return errors.Join(errs...)
}
