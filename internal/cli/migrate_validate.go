package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/english"
)

func newValidate(m *migrations) *cobra.Command {
	return &cobra.Command{
		Use:     "validate",
		Short:   "Check that the files are those atlas.sum was made for",
		Long:    "Check that the files are those atlas.sum was made for. No database is needed.",
		Example: "  authgraph migrate validate --dir migrate/sqlite",
		Args:    noArgs,
		RunE: m.run(func(context.Context, []string) error {
			dir, src, err := m.files()
			if err != nil {
				return err
			}
			m.announce(src)
			if err := directory.Validate(dir.Dir); err != nil {
				return err
			}
			if err := m.filled(dir); err != nil {
				return err
			}
			return m.printFiles(src, dir, "valid: atlas.sum matches")
		}),
	}
}

// files is the directory for a command that needs no database.
func (m *migrations) files() (migrationDir, source, error) {
	var of string
	if m.dirPath == "" {
		u, _, err := m.database()
		if err == nil {
			of = u.Dialect
		} else if errors.Is(err, errNoDatabase) {
			if of, err = engine(); err == nil && of == "" {
				err = fmt.Errorf("%w; or name the directory with --dir", errNoDatabase)
			}
		}
		if err != nil {
			return migrationDir{}, source{}, err
		}
	}
	dir, err := m.directory(of)
	return dir, source{Directory: dir.String()}, err
}

// filesResult is the JSON of validate and hash.
type filesResult struct {
	source
	Files []string `json:"files"`
}

func (m *migrations) printFiles(src source, dir migrationDir, done string) error {
	files, err := dir.Files()
	if err != nil {
		return err
	}
	if m.format != formatJSON {
		fmt.Fprintln(m.stdout, done, english.Count(len(files), "file"))
		return nil
	}
	result := filesResult{source: src, Files: []string{}}
	for _, f := range files {
		result.Files = append(result.Files, f.Name())
	}
	return m.printJSON(result)
}
