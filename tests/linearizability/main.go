// Checks histories of a store, as linear_record writes them, for linearizability.
//
//	checker FILE
//
// Exit 0: all are linearizable; 3: some are not; 1: the file cannot be read, or a history is not decided in time.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 60 * time.Second

// read gathers the calls of each history. Those of unknown outcome never return: they may take effect at any time.
func read(path string) (map[int][]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	histories := map[int][]porcupine.Operation{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var history, client int
		var asked question
		var told answer
		var from, to int64
		if _, err := fmt.Sscan(lines.Text(), &history, &client, &asked.operation, &asked.key, &asked.value,
			&asked.ifRevision, &from, &to, &told.outcome, &told.value, &told.revision, &told.count); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if told.outcome == "unknown" {
			to = math.MaxInt64
		}
		histories[history] = append(histories[history],
			porcupine.Operation{ClientId: client, Input: asked, Call: from, Output: told, Return: to})
	}
	return histories, nil
}

func check(histories map[int][]porcupine.Operation) (wrong, undecided []int, calls, open int) {
	model := register.ToModel()
	for number, history := range histories {
		for _, operation := range history {
			calls++
			if operation.Return == math.MaxInt64 {
				open++
			}
		}
		switch porcupine.CheckOperationsTimeout(model, history, patience) {
		case porcupine.Illegal:
			wrong = append(wrong, number)
		case porcupine.Unknown:
			undecided = append(undecided, number)
		}
	}
	sort.Ints(wrong)
	sort.Ints(undecided)
	return wrong, undecided, calls, open
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: checker FILE")
		os.Exit(2)
	}
	histories, err := read(os.Args[1])
	if err != nil || len(histories) == 0 {
		fmt.Fprintln(os.Stderr, "cannot read histories:", err)
		os.Exit(1)
	}
	wrong, undecided, calls, open := check(histories)
	fmt.Printf("%d histories, %d calls, %d of unknown outcome: %d not linearizable, %d not decided\n",
		len(histories), calls, open, len(wrong), len(undecided))
	switch {
	case len(wrong) > 0:
		fmt.Println("not linearizable:", wrong)
		os.Exit(3)
	case len(undecided) > 0:
		fmt.Println("not decided:", undecided)
		os.Exit(1)
	}
}
