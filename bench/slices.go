package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"testing"
	"time"
)

const (
	// sliceTime is how long one operation runs before the next takes its turn:
	// short, so that what disturbs the machine disturbs them alike.
	sliceTime = 20 * time.Millisecond
	// maxBatch is how many times an operation runs between two looks at the clock.
	maxBatch = 256
)

// An operation is something to be measured. Without run it stands for what a
// library cannot do, and takes for ever.
type operation struct {
	library string
	run     func() error
	row     string
}

// label is the operation's in a profile, such as "HS256 Counterfoil".
func (op operation) label() string { return op.row + " " + op.library }

// inRow says which row the operations belong to.
func inRow(row string, ops []operation) []operation {
	for i := range ops {
		ops[i].row = row
	}
	return ops
}

// interleave runs each operation for one slice in turn, in another order each
// round, and returns the CPU nanoseconds that one run took, by operation and
// round. Garbage is collected between slices, so that nobody pays for that of
// another.
func interleave(s settings, ops []operation) ([][]float64, error) {
	times := make([][]float64, len(ops))
	for range s.rounds {
		for _, i := range rand.Perm(len(ops)) {
			if ops[i].run == nil {
				times[i] = append(times[i], math.Inf(1))
				continue
			}
			runtime.GC()
			took, err := slice(ops[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ops[i].label(), err)
			}
			times[i] = append(times[i], took)
		}
	}
	return times, nil
}

// slice runs op for sliceTime.
func slice(op operation) (took float64, err error) {
	pprof.Do(context.Background(), pprof.Labels("op", op.label()), func(context.Context) {
		n, begin, end := 0, cpuTime(), time.Now().Add(sliceTime)
		for batch := 1; time.Now().Before(end); batch = min(2*batch, maxBatch) {
			for range batch {
				if err = op.run(); err != nil {
					return
				}
			}
			n += batch
		}
		took = float64(cpuTime()-begin) / float64(n)
	})
	return took, err
}

// cpuTime is the CPU time that the process has used in all its threads.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // cannot happen with valid arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// allocations is the number of them in one run of op.
func allocations(op operation) float64 {
	return testing.AllocsPerRun(20, func() { op.run() })
}

// quotient is the median over the rounds of a's time by b's.
func quotient(a, b []float64) float64 {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return median(quotients)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// fastest is the index of the smallest median.
func fastest(times [][]float64) int {
	best := 0
	for i := range times {
		if median(times[i]) < median(times[best]) {
			best = i
		}
	}
	return best
}

func nanos(times []float64) string { return duration(median(times)) }

// duration writes nanoseconds with three digits that mean something.
func duration(ns float64) string {
	switch {
	case ns < 1e4:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e7:
		return fmt.Sprintf("%.1f µs", ns/1e3)
	}
	return fmt.Sprintf("%.1f ms", ns/1e6)
}

func multiple(x float64) string { return fmt.Sprintf("%.2f×", x) }
