// Package load begins operations from many goroutines for a while and prints what came of it, as the other peers do.
package load

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"
)

// Options are those of every peer; the mode is the word before them.
type Options struct {
	Mode       string
	Threads    int
	Keys       int
	ValueBytes int
	Seconds    float64
	Seed       uint64
	Folder     string // its own, removed by End
}

// Parse reads the line: MODE [-threads N] ...; it makes the folder, in $TMPDIR or /tmp.
func Parse(modes string, more func()) *Options {
	options := &Options{}
	flag.IntVar(&options.Threads, "threads", 1, "goroutines")
	flag.IntVar(&options.Keys, "keys", 200000, "keys")
	flag.IntVar(&options.ValueBytes, "value-bytes", 256, "bytes of a value")
	flag.Float64Var(&options.Seconds, "seconds", 3, "how long")
	flag.Uint64Var(&options.Seed, "seed", 1, "of the random numbers")
	if more != nil {
		more()
	}
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "usage: %s %s [options]\n", os.Args[0], modes)
		os.Exit(2)
	}
	options.Mode = os.Args[1]
	flag.CommandLine.Parse(os.Args[2:])
	folder, err := os.MkdirTemp("", "stigstore-peer-")
	Must(err)
	options.Folder = folder
	return options
}

// Must ends the program on an error.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ID names a key as the other peers do.
func ID(key int) string { return fmt.Sprintf("here-%012d", key) }

// Noise is a value that does not compress.
func Noise(seed uint64, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	value := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], random.Uint64())
	}
	return value[:size]
}

// Worker is one goroutine's own: its random numbers and a value that changes with each Value.
type Worker struct {
	Random *rand.Rand
	value  []byte
	count  uint64
}

// Value gives another value each time.
func (w *Worker) Value() []byte {
	w.count++
	if len(w.value) >= 8 {
		binary.LittleEndian.PutUint64(w.value, w.count)
	}
	return w.value
}

// Run calls operation from all goroutines until the time is up, and prints one line of JSON.
func Run(options *Options, operation func(worker *Worker, key int) error) {
	var group sync.WaitGroup
	latencies := make([][]int64, options.Threads)
	begin := time.Now()
	end := begin.Add(time.Duration(options.Seconds * float64(time.Second)))
	for i := range options.Threads {
		group.Add(1)
		go func() {
			defer group.Done()
			worker := &Worker{Random: rand.New(rand.NewPCG(options.Seed, uint64(i)+2)),
				value: Noise(options.Seed+uint64(i), options.ValueBytes)}
			for now := time.Now(); now.Before(end); {
				Must(operation(worker, worker.Random.IntN(options.Keys)))
				after := time.Now()
				latencies[i] = append(latencies[i], after.Sub(now).Nanoseconds())
				now = after
			}
		}()
	}
	group.Wait()
	report(slices.Concat(latencies...), time.Since(begin).Seconds())
}

// End removes the folder, once what lies in it is closed.
func End(options *Options) { os.RemoveAll(options.Folder) }

func report(latencies []int64, seconds float64) {
	slices.Sort(latencies)
	if len(latencies) == 0 {
		Must(fmt.Errorf("nothing was done"))
	}
	at := func(percent float64) float64 {
		return float64(latencies[min(len(latencies)-1, int(float64(len(latencies))*percent/100))]) / 1000
	}
	fmt.Printf("{\"ops_per_s\":%.1f,\"p50_us\":%.3f,\"p90_us\":%.3f,\"p99_us\":%.3f,\"max_us\":%.3f,\"operations\":%d}\n",
		float64(len(latencies))/seconds, at(50), at(90), at(99), at(100), len(latencies))
}
