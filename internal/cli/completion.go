package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/authgraph/authgraph/internal/entgraph"
	"github.com/authgraph/authgraph/internal/install"
)

// What a shell is offered is read from files and from the program itself: no database is asked, and no address is
// offered, which may hold a password.

// addCompletions says, for each command below cmd, what its flags and arguments are completed with. A command or a flag
// that says so itself keeps that.
func addCompletions(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.NoFileCompletions
		switch f.Name {
		case "url", "dev-url":
			complete = completeURL
		case "dir", "base", "ent":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case "config":
			complete = cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveFilterFileExt)
		case "db":
			complete = cobra.FixedCompletions(install.Databases, cobra.ShellCompDirectiveNoFileComp)
		case "out":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // it fails only where one is registered
	})
	for _, sub := range cmd.Commands() {
		addCompletions(sub)
	}
}

var schemes = []string{"mysql://", "mariadb://", "sqlite://"}

// completeURL offers the beginnings of addresses, and SQLite files.
func completeURL(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	path, ok := strings.CutPrefix(begun, "sqlite://")
	if !ok {
		return schemes, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return offer(pathsOf(path, "sqlite://", ".db", ".sqlite", ".sqlite3"))
}

// completeSources offers up to n sources of schemas.
func completeSources(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		switch {
		case strings.HasPrefix(begun, entScheme):
			return offer(pathsOf(strings.TrimPrefix(begun, entScheme), entScheme))
		case strings.Contains(begun, "://"):
			return completeURL(cmd, nil, begun)
		}
		found := []string{"schema\tof the code", "migrate\twhat the migrations lead to", "-\tSQL on standard input"}
		if entgraph.HoldsGo("ent/schema") {
			found = append(found, entScheme+"ent/schema\tthe Go files of the Ent schema")
		}
		return offer(append(found, pathsOf(begun, "", ".sql")...))
	}
}

// completeSchema offers what --to can name.
func completeSchema(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	if path, ok := strings.CutPrefix(begun, entScheme); ok {
		return offer(pathsOf(path, entScheme))
	}
	found := []string{"-\tSQL on standard input"}
	if entgraph.HoldsGo("ent/schema") {
		found = append(found, entScheme+"ent/schema\tthe Go files of the Ent schema")
	}
	return offer(append(found, pathsOf(begun, "", ".sql")...))
}

// completeVersion offers the versions of the directory, newest first.
func (m *migrations) completeVersion(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	dir, _, err := m.files()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	files, _ := dir.Files() // a directory that cannot be read offers nothing
	var versions []string
	for _, f := range slices.Backward(files) {
		versions = append(versions, f.Version()+"\t"+f.Name())
	}
	return versions, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// pathsOf are the folders, and the files with one of the extensions, that a path can go on to, after a prefix.
func pathsOf(begun, prefix string, extensions ...string) (found []string) {
	folder, name := filepath.Split(begun)
	entries, _ := os.ReadDir(filepath.Join(".", folder)) // a folder that cannot be read offers nothing
	if filepath.IsAbs(folder) {
		entries, _ = os.ReadDir(folder)
	}
	for _, e := range entries {
		switch {
		case !strings.HasPrefix(e.Name(), name), strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(name, "."),
			strings.ContainsFunc(e.Name(), acts):
		case e.IsDir():
			found = append(found, prefix+folder+e.Name()+"/")
		case slices.Contains(extensions, filepath.Ext(e.Name())):
			found = append(found, prefix+folder+e.Name())
		}
	}
	return found
}

// offer leaves the cursor behind the word if it is to go on.
func offer(found []string) ([]string, cobra.ShellCompDirective) {
	goesOn := func(s string) bool { return strings.HasSuffix(s, "/") }
	if len(found) > 0 && !slices.ContainsFunc(found, func(s string) bool { return !goesOn(s) }) {
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
