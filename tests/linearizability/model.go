package main

import "github.com/anishathalye/porcupine"

type question struct {
	operation         string // get, put, swap (if_revision), create (if_absent), delete
	key               int
	value, ifRevision uint64
}

type answer struct {
	outcome         string // ok, conflict, absent, unknown
	value           uint64
	revision, count uint64
}

// state is one resource. While `known` is false its revision is only known to be above `revision`.
type state struct {
	present         bool
	value, revision uint64
	known           bool
}

func (s state) hasRevision(revision uint64) bool {
	return s.present && (s.known && s.revision == revision || !s.known && revision > s.revision)
}

// The state after a save that was acknowledged with this revision, or none if it cannot have been.
func (s state) saved(value, revision uint64) []any {
	if revision <= s.revision {
		return nil
	}
	return []any{state{true, value, revision, true}}
}

// The resource as a refused condition, or a read, has shown it.
func (s state) shown(revision uint64) []any {
	if revision == 0 && !s.present {
		return []any{s}
	}
	if !s.hasRevision(revision) {
		return nil
	}
	return []any{state{true, s.value, revision, true}}
}

// A mutation of unknown outcome had its effect, if its condition held, or none.
func (s state) open(asked question) []any {
	after := state{true, asked.value, s.revision, false}
	switch asked.operation {
	case "swap":
		if !s.hasRevision(asked.ifRevision) {
			return []any{s}
		}
		after.revision = asked.ifRevision
	case "create":
		if s.present {
			return []any{s}
		}
	case "delete":
		after = state{revision: s.revision, known: s.known}
	}
	return []any{s, after}
}

func (s state) get(told answer) []any {
	if told.outcome == "absent" {
		return s.shown(0)
	}
	if s.value != told.value {
		return nil
	}
	return s.shown(told.revision)
}

func (s state) remove(told answer) []any {
	switch {
	case told.count == 0 && !s.present:
		return []any{s}
	case told.count == 1 && s.present && told.revision > s.revision:
		return []any{state{revision: told.revision, known: true}}
	}
	return nil
}

func step(s state, asked question, told answer) []any {
	switch {
	case told.outcome == "unknown":
		return s.open(asked)
	case told.outcome == "conflict":
		if asked.operation == "swap" && told.revision == asked.ifRevision || asked.operation == "create" && told.revision == 0 {
			return nil
		}
		return s.shown(told.revision)
	case asked.operation == "get":
		return s.get(told)
	case asked.operation == "delete":
		return s.remove(told)
	case asked.operation == "swap" && !s.hasRevision(asked.ifRevision):
		return nil
	case asked.operation == "create" && s.present:
		return nil
	}
	return s.saved(asked.value, told.revision)
}

// register is the sequential specification, key by key. Nothing is there at first: histories have keys of their own.
var register = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, operation := range history {
			key := operation.Input.(question).key
			byKey[key] = append(byKey[key], operation)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init:  func() []any { return []any{state{}} },
	Step:  func(s, asked, told any) []any { return step(s.(state), asked.(question), told.(answer)) },
	Equal: func(a, b any) bool { return a == b },
}
