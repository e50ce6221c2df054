package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/install"
)

// entities reads the arguments of add and view: schema auth, or schema auth/NAME, once or more often.
func entities(cmd *cobra.Command, args []string) ([]string, error) {
	example := cmd.CommandPath() + " schema auth"
	if len(args) < 2 || args[0] != "schema" {
		return nil, fmt.Errorf("%s takes schema and what of it, as in: %s or %s/session", commandName(cmd), example,
			example)
	}
	var all, names []string
	for _, e := range install.Entities {
		all = append(all, e.Name)
	}
	for _, arg := range args[1:] {
		name, ok := strings.CutPrefix(arg, "auth/")
		switch {
		case arg == "auth":
			names = append(names, all...)
		case ok && slices.Contains(all, name):
			names = append(names, name)
		default:
			return nil, unknownEntity(arg, example, all)
		}
	}
	return names, nil
}

func unknownEntity(arg, example string, all []string) error {
	known := []string{"auth"}
	for _, name := range all {
		known = append(known, "auth/"+name)
	}
	if near := nearest(arg, known); len(near) > 0 {
		return fmt.Errorf("there is no schema %q: did you mean %s?", arg, strings.Join(near, " or "))
	}
	// Without auth/, or in the plural.
	for _, name := range all {
		if strings.TrimSuffix(arg[strings.LastIndexByte(arg, '/')+1:], "s") == name {
			return fmt.Errorf("there is no schema %q: did you mean auth/%s?", arg, name)
		}
	}
	return fmt.Errorf("there is no schema %q: there are %s", arg, strings.Join(known, ", "))
}

// nearest are the known words that the user may have meant.
func nearest(word string, known []string) []string {
	words := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		words.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	return slices.DeleteFunc(words.SuggestionsFor(word),
		func(s string) bool { return s == "auth" && strings.HasPrefix(word, "auth/") })
}

// completeEntities are the arguments that can follow.
func completeEntities(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return []string{"schema"}, cobra.ShellCompDirectiveNoFileComp
	}
	names := []string{"auth\tall of them"}
	for _, e := range install.Entities {
		names = append(names, "auth/"+e.Name+"\t"+e.Text)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
