package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/directory"
)

func newNew(m *migrations) *cobra.Command {
	return &cobra.Command{
		Use:   "new NAME",
		Short: "Add an empty migration, for SQL written by hand",
		Long: `Add an empty migration, for SQL written by hand, and print its path. After the
edit, authgraph migrate hash accepts it. No database is needed.`,
		Example: "  authgraph migrate new backfill_phone",
		Args:    oneName,
		RunE: m.run(func(_ context.Context, args []string) error {
			dir, src, err := m.files()
			if err != nil {
				return err
			}
			if err := dir.writable("authgraph migrate new " + args[0]); err != nil {
				return err
			}
			m.announce(src)
			file, err := directory.New(dir.Dir, args[0])
			if err != nil {
				return err
			}
			path := filepath.Join(dir.path, file)
			if m.format == formatJSON {
				return m.printJSON(struct {
					source
					File string `json:"file"`
					Path string `json:"path"`
				}{src, file, path})
			}
			fmt.Fprintln(m.stdout, path)
			m.next("edit it, then run: " + m.command("migrate hash"))
			return nil
		}),
	}
}
