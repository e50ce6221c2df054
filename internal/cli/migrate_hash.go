package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/directory"
)

func newHash(m *migrations) *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Write atlas.sum anew, to accept an edit by hand",
		Long: `Write atlas.sum anew, to accept an edit by hand. No database is needed. A file
that a database has applied must not be edited: apply refuses it there.`,
		Example: "  authgraph migrate hash",
		Args:    noArgs,
		RunE: m.run(func(context.Context, []string) error {
			dir, src, err := m.files()
			if err != nil {
				return err
			}
			if err := dir.writable("authgraph migrate hash"); err != nil {
				return err
			}
			m.announce(src)
			if err := directory.Hash(dir.Dir); err != nil {
				return err
			}
			err = m.printFiles(src, dir, "wrote atlas.sum for")
			m.next(m.command("migrate lint") + ", then " + m.command("migrate apply"))
			return err
		}),
	}
}
