package main

import (
	"flag"
	"fmt"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/services"
)

// options are the command line and the environment.
type options struct {
	services     services.Options
	adminAddress string
	logLevel     zapcore.Level
}

// parse reads the flags, and who this pod is from the environment.
func parse(args []string, getenv func(string) string) (options, error) {
	var o options
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	s := &o.services
	flags.StringVar(&o.adminAddress, "admin-address", fmt.Sprintf(":%d", contract.AdminPort), "address of /metrics, /healthz and /readyz")
	flags.DurationVar(&s.ShutdownDelay, "shutdown-delay", 15*time.Second, "how long connections are still accepted after SIGTERM")
	flags.DurationVar(&s.DrainTimeout, "drain-timeout", 4*time.Minute+30*time.Second, "how long open connections may take to end after that")
	flags.DurationVar(&s.Linger, "linger", time.Minute, "how long a port is still served after its Service has lost it")
	flags.IntVar(&s.MaxHeld, "max-held", 10_000, "connections held at once for all Services of the namespace")
	flags.IntVar(&s.MaxConnections, "max-connections", 1_000_000,
		"connections at once for all Services of the namespace, held or relayed; fewer if descriptors (ulimit -n) do not allow as many, at two for each")
	flags.TextVar(&o.logLevel, "log-level", zapcore.InfoLevel, "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not accepted: there are flags only", flags.Arg(0))
	}
	for flag, value := range map[string]time.Duration{"shutdown-delay": s.ShutdownDelay, "drain-timeout": s.DrainTimeout, "linger": s.Linger} {
		if value < 0 {
			return o, fmt.Errorf("flag --%s: %s is not accepted: write 0s or more", flag, value)
		}
	}
	for flag, value := range map[string]int{"max-held": s.MaxHeld, "max-connections": s.MaxConnections} {
		if value < 1 {
			return o, fmt.Errorf("flag --%s: %d is not accepted: write 1 or more", flag, value)
		}
	}
	s.Namespace, s.Pod, s.PodUID = getenv("POD_NAMESPACE"), getenv("POD_NAME"), types.UID(getenv("POD_UID"))
	for _, name := range []string{"POD_NAMESPACE", "POD_NAME", "POD_UID"} {
		if getenv(name) == "" {
			return o, fmt.Errorf("environment variable %s is empty: it names the pod that this runs in", name)
		}
	}
	return o, nil
}
