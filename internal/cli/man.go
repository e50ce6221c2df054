package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan is for who packages the program.
func newMan(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "man FOLDER",
		Hidden: true,
		Short:  "Write the man pages into a folder",
		Long: `Write a man page for each command into a folder, which is made if it is not there.
make dist does so, and writes the completions of shells beside.`,
		Example: "  authgraph man ~/.local/share/man/man1",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes one folder, as in: %s man1", commandName(cmd), cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.RunE = a.run(func(_ context.Context, args []string) error {
		pages := manPages(cmd.Root())
		err := os.MkdirAll(args[0], 0o755)
		for name, page := range pages {
			err = errors.Join(err, os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644))
		}
		if err == nil && a.format == formatText {
			fmt.Fprintln(a.info, "wrote", len(pages), "pages into", args[0])
		}
		return err
	})
	return cmd
}

// manPages are the man pages of a command and of those below it, by their names.
func manPages(cmd *cobra.Command) map[string]string {
	pages := map[string]string{manName(cmd) + ".1": manPage(cmd)}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			for name, page := range manPages(sub) {
				pages[name] = page
			}
		}
	}
	return pages
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is the page of a command, in the macros of man(7). It has no date, so that the same program writes the same
// page.
func manPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"authgraph %s\" \"authgraph\"\n", strings.ToUpper(roff(manName(cmd))),
		roff(cmd.Root().Version))
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", title) }
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(manName(cmd)), roff(cmd.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n", roff(cmd.UseLine()))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, ".br\n.B %s\n", roff(cmd.CommandPath()+" COMMAND"))
	}
	section("DESCRIPTION")
	b.WriteString(paragraphs(cmd.Long))
	if cmd.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(sub)), roff(sub.Short))
			}
		}
	}
	section("OPTIONS")
	b.WriteString(options(cmd.LocalFlags()))
	if inherited := cmd.InheritedFlags(); inherited.HasAvailableFlags() {
		section("OPTIONS OF ALL COMMANDS")
		b.WriteString(options(inherited))
	}
	if cmd.Example != "" {
		section("EXAMPLES")
		b.WriteString(verbatim(cmd.Example))
	}
	for _, s := range [][2]string{{"ENVIRONMENT", environmentHelp}, {"EXIT STATUS", exitCodesHelp}} {
		section(s[0])
		b.WriteString(verbatim(s[1]))
	}
	if cmd.HasParent() {
		section("SEE ALSO")
		fmt.Fprintf(&b, ".BR %s (1)\n", roff(manName(cmd.Parent())))
	}
	return b.String()
}

func options(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		if usage += defaultOf(f); f.Shorthand != "" {
			fmt.Fprintf(&b, ".TP\n\\fB\\-%s\\fR, \\fB\\-\\-%s\\fR", f.Shorthand, roff(f.Name))
		} else {
			fmt.Fprintf(&b, ".TP\n\\fB\\-\\-%s\\fR", roff(f.Name))
		}
		if value != "" {
			fmt.Fprintf(&b, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(&b, "\n%s\n", roff(usage))
	})
	return b.String()
}

// defaultOf is the default of a flag that has one.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "[]":
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}

// paragraphs is a text whose indented lines stay as they are.
func paragraphs(text string) string {
	var b strings.Builder
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(block, " ") {
			b.WriteString(verbatim(block))
		} else {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(block))
		}
	}
	return b.String()
}

func verbatim(text string) string { return ".PP\n.nf\n" + roff(text) + "\n.fi\n" }

// roff is a text that troff prints as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
