package cli

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of authgraph, Go, Ent and Atlas",
		Example: "  authgraph version --format json",
		Args:    noArgs,
		RunE: a.run(func(context.Context, []string) error {
			v := readVersions()
			if a.format == formatJSON {
				return a.printJSON(v)
			}
			fmt.Fprintf(a.stdout, "authgraph  %s\ngo         %s\nent        %s\natlas      %s\n", v.Authgraph, v.Go,
				v.Ent, v.Atlas)
			return nil
		}),
	}
}

// versionLine is what --version prints: the first line of the command.
const versionLine = "authgraph  {{.Version}}\n"

type versions struct {
	Authgraph string `json:"authgraph"`
	Go        string `json:"go"`
	Ent       string `json:"ent"`
	Atlas     string `json:"atlas"`
}

func readVersions() versions {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	of := func(path string) string {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path != path {
				continue
			}
			if m.Replace != nil {
				m = m.Replace
			}
			if m.Version != "" {
				return m.Version
			}
		}
		return "unknown"
	}
	return versions{
		Authgraph: of("github.com/authgraph/authgraph"),
		Go:        info.GoVersion,
		Ent:       of("entgo.io/ent"),
		Atlas:     of("ariga.io/atlas"),
	}
}
