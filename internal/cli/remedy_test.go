package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/install"
)

// An error is printed with the flags and commands that remedy it, and an error beside it is not lost.
func TestAnErrorIsPrintedWithTheCommandsThatRemedyIt(t *testing.T) {
	t.Parallel()
	sum := &directory.ChecksumError{File: "1_x.sql", Reason: "edited"}
	const edited = "atlas.sum does not match: 1_x.sql was edited: undo the change, or accept it with: " +
		"authgraph migrate hash --dir 'two words'"
	other := errors.New("connection lost")
	address := &dburl.Error{Part: dburl.PartHost, Err: errors.New("is missing")}
	a := &app{dirPath: "two words", urlFrom: "DATABASE_URL"}
	for want, err := range map[string]error{
		"connection lost":                  other,
		edited:                             fmt.Errorf("two words: %w", &failure{sum}),
		edited + "; nothing was changed":   &install.RunError{Err: sum, After: "nothing was changed"},
		edited + "; connection lost":       errors.Join(sum, other),
		"connection lost\nconnection lost": errors.Join(other, other),
		"database URL (from DATABASE_URL): host: is missing": address,
		"1_x.sql was applied to this database but is not in the directory: restore it": &history.Error{
			Reason: history.Missing, File: "1_x.sql",
		},
		"this is a folder of the module in /app: run authgraph there": &install.FolderError{Root: "/app"},
	} {
		assert.Equal(t, want, a.line(err))
	}
}
