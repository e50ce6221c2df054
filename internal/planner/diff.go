package planner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/authgraph/authgraph/internal/directory"
)

// ErrNoChanges is returned by [Diff] if the directory already leads to the desired state.
var ErrNoChanges = errors.New("the migration directory is up to date with the schema")

// Diff replays the directory on dev and plans the migration that takes its schema to the state to. The error is
// [ErrNoChanges] if there is nothing to do. Nothing is written before [Plan.Write].
func Diff(ctx context.Context, dev *Dev, dir directory.Dir, to State, name string) (*Plan, error) {
	if err := directory.CheckName(name); err != nil {
		return nil, err
	}
	if err := directory.ValidateNew(dir); err != nil {
		return nil, err
	}
	have, err := dev.replayDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	want, err := to(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("read the desired state: %w", err)
	}
	changes, err := dev.compare(have, want)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, ErrNoChanges
	}
	plan, unplanned, err := dev.plan(ctx, name, changes, have, want)
	if err != nil {
		return nil, err
	}
	if len(unplanned) > 0 {
		return nil, &UnplannedError{Differences: unplanned}
	}
	if len(plan.Changes) == 0 {
		return nil, ErrNoChanges
	}
	sql, err := format(plan)
	if err != nil {
		return nil, err
	}
	file, err := directory.FileName(dir, name)
	if err != nil {
		return nil, err
	}
	return &Plan{File: file, SQL: sql, Destructive: destructive(changes), dir: dir}, nil
}

// UnplannedError is a desired state to which no migration can be planned.
type UnplannedError struct {
	// Differences are those for which there is no statement.
	Differences []string
}

// Found says what cannot be planned.
func (e *UnplannedError) Found() string {
	return "a part of the migration cannot be planned: " + strings.Join(e.Differences, "; ")
}

// Fix says what to do.
func (e *UnplannedError) Fix() string { return "write it by hand" }

func (e *UnplannedError) Error() string { return e.Found() + ": " + e.Fix() }

// DriftError is a directory that does not lead to the desired state.
type DriftError struct {
	// SQL is the migration that would get there.
	SQL string
}

// Found says what is wrong.
func (e *DriftError) Found() string { return "the migration directory does not lead to the schema" }

// Fix says what to do.
func (e *DriftError) Fix() string { return "plan the migration that is missing" }

func (e *DriftError) Error() string { return e.Found() + ": " + e.Fix() }

// Check reports whether the directory leads to the state to: nil if it does, a [*DriftError] if it does not.
func Check(ctx context.Context, dev *Dev, dir directory.Dir, to State) error {
	plan, err := Diff(ctx, dev, dir, to, "check")
	switch {
	case errors.Is(err, ErrNoChanges):
		return nil
	case err != nil:
		return err
	}
	return &DriftError{SQL: plan.SQL}
}
