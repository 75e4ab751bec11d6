// Package build says what a program was built from, as the Go toolchain has noted it:
//
//	info := build.Read()
//	fmt.Println(info.Version, info.Revision)
package build

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Info is what a program was built from.
type Info struct {
	// Version is that of the module, such as v0.2.0, or one that Go makes up for a commit without a tag; "unknown" if it was
	// built outside of a repository.
	Version string
	// Revision is the commit, followed by "-dirty" if there were changes beside it; "unknown" as above.
	Revision string
	// Go is the toolchain's version, such as go1.26.0.
	Go string
}

// Read returns that of the running program.
func Read() Info {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return of(info)
}

func of(info *debug.BuildInfo) Info {
	i := Info{Version: info.Main.Version, Go: info.GoVersion}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if i.Version == "" || i.Version == "(devel)" {
		i.Version = "unknown"
	}
	switch {
	case i.Revision == "":
		i.Revision = "unknown"
	case dirty:
		i.Revision += "-dirty"
	}
	if i.Go == "" {
		i.Go = runtime.Version()
	}
	return i
}

// NewCollector returns tpa_build_info, whose value is always 1.
func NewCollector() prometheus.Collector {
	i := Read()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tpa_build_info", Help: "What this program was built from; always 1.",
		ConstLabels: prometheus.Labels{"version": i.Version, "revision": i.Revision, "goversion": i.Go},
	})
	g.Set(1)
	return g
}
