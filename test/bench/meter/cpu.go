package meter

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// processClock is CPUCLOCK_SCHED of linux/posix-timers.h: user and system time, to the nanosecond.
const processClock = 2

// CPU is what all threads of the processes, the ended ones too, have used so far.
func CPU(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		var now unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|processClock), &now); err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		sum += time.Duration(now.Nano())
	}
	return sum, nil
}
