package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/internal/planner"
)

// installation is what init, add and upgrade share.
type installation struct {
	*app
	install.Options
	devURL      string
	dryRun      bool
	yes         bool
	allowDirty  bool
	noMigration bool
	// noted is whether it was said that DATABASE_URL is not used.
	noted bool
}

func newInstallation(a *app) *installation {
	return &installation{app: a, Options: install.Options{Version: readVersions().Authgraph}}
}

func (i *installation) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&i.DB, "db", "",
		"the `database`: mysql, mariadb or sqlite (default as set up before, else that of the database URL, else "+
			"asked for on a terminal)")
	flags.StringVar(&i.Dir, "dir", "", "the ent `folder`, relative to go.mod (default as set up before, else ent)")
	flags.BoolVar(&i.Force, "force", false, "replace files that are in the way, and bring back those that you deleted")
	i.addSafetyFlags(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error { return i.Check() }
	_ = cmd.RegisterFlagCompletionFunc("db",
		func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return install.Databases, cobra.ShellCompDirectiveNoFileComp
		}) // it fails only for a flag that does not exist
}

func (i *installation) addSafetyFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&i.dryRun, "dry-run", false, "show what would be done and change nothing")
	flags.BoolVarP(&i.yes, "yes", "y", false, "do not ask on a terminal before anything is written")
	flags.BoolVar(&i.allowDirty, "allow-dirty", false, "work in a git tree with changes that are not committed")
}

// installResult is the JSON of init, add and upgrade.
type installResult struct {
	*install.Plan
	*install.Result
	DryRun bool `json:"dry_run,omitempty"`
	// Notes are what the user should know; they stop nothing.
	Notes []string `json:"notes,omitempty"`
	// Diffs are the changes to files that were there, by path.
	Diffs map[string]string `json:"diffs,omitempty"`
}

// do plans the installation, shows it, and carries it out. Where nothing was
// to be done, or on a dry run, there is no result.
func (i *installation) do(ctx context.Context) (result *install.Result, err error) {
	var journal *install.Journal
	if !i.dryRun {
		if journal, err = i.lock(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, journal.Close()) }()
	} else if err := install.CheckFinished("."); err != nil {
		return nil, err
	}
	project, err := install.Open(".")
	if err != nil {
		return nil, err
	}
	if i.Upgrade && project.DB() == "" {
		return nil, errors.New("nothing was installed here: " + install.RecordFile +
			" is missing; begin with authgraph add schema auth")
	}
	if err := i.chooseDatabase(ctx, project); err != nil {
		return nil, err
	}
	plan, err := project.Plan(ctx, i.Options)
	if err != nil {
		return nil, err
	}
	if err := i.refused(plan); err != nil {
		return nil, err
	}
	if !plan.Changes() {
		return nil, i.report(plan, nil)
	}
	dev, err := i.dev(plan.DB)
	if err != nil {
		return nil, err
	}
	i.dirPath = plan.Migrations // a command that an error names works there
	if err := plan.Check(i.steps(dev)); err != nil {
		return nil, err
	}
	if i.dryRun {
		return nil, errors.Join(i.report(plan, nil), i.conflicts(plan))
	}
	if !i.allowDirty {
		if err := project.CheckClean(ctx); err != nil {
			return nil, err
		}
	}
	if i.format == formatText {
		i.printPlanned(plan)
	}
	if err := i.confirm(ctx); err != nil {
		return nil, err
	}
	result, err = plan.Apply(ctx, journal, i.steps(dev))
	if err != nil {
		return nil, err
	}
	if err := i.report(plan, result); err != nil {
		return nil, err
	}
	return result, i.conflicts(plan)
}

// lock keeps other runs out and undoes one that was killed, which it tells.
func (i *installation) lock(ctx context.Context) (*install.Journal, error) {
	journal, err := install.Lock(ctx, ".", func() {
		fmt.Fprintln(i.stderr, "waiting for another authgraph in this folder")
	})
	if err != nil {
		return nil, err
	}
	if journal.Recovered {
		fmt.Fprintln(i.stderr, "a run that was killed had left changes behind: they were undone")
		if journal.Undone != "" {
			fmt.Fprintf(i.stderr, "what was there until now is in %s: take from it what is yours, then remove it\n",
				journal.Undone)
		}
	}
	return journal, nil
}

// conflicts are the findings of a plan; nil where there are none.
func (i *installation) conflicts(plan *install.Plan) error {
	conflicts := plan.Has(install.Conflict)
	if len(conflicts) == 0 {
		return nil
	}
	files := count(len(conflicts), "file") + " in conflict"
	if i.dryRun {
		return &findings{files + ", as shown between the markers <<<<<<< and >>>>>>>"}
	}
	return &findings{fmt.Sprintf("%s: edit between the markers <<<<<<< and >>>>>>>, then run go generate ./%s", files,
		plan.Dir)}
}

// chooseDatabase settles --db where the project does not know it yet.
func (i *installation) chooseDatabase(ctx context.Context, project *install.Project) error {
	if i.DB != "" || project.DB() != "" {
		return nil
	}
	_, u, err := i.address()
	if err != nil {
		return err
	}
	if u != nil {
		i.DB, _, _ = strings.Cut(u.String(), "://")
		if i.DB = strings.TrimSuffix(i.DB, "+unix"); i.DB == "maria" {
			i.DB = "mariadb"
		}
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("the database is not known: use --db mysql, --db mariadb or --db sqlite")
	}
	fmt.Fprint(i.stderr, "Which database?\n  1  MySQL\n  2  MariaDB\n  3  SQLite\n")
	for {
		answer, err := i.ask(ctx, "1, 2 or 3 (default 1): ")
		if err != nil {
			return err
		}
		switch answer = strings.ToLower(answer); {
		case answer == "":
			i.DB = install.Databases[0]
		case len(answer) == 1 && "1" <= answer && answer <= "3":
			i.DB = install.Databases[answer[0]-'1']
		case slices.Contains(install.Databases, answer):
			i.DB = answer
		default:
			continue
		}
		return nil
	}
}

// address is the database URL that was given, and what it says; empty and nil if
// none was. A DATABASE_URL that says nothing may be there for something else.
func (i *installation) address() (string, *dburl.URL, error) {
	raw := i.url
	if raw == "" {
		raw = os.Getenv(databaseURL)
		i.urlFrom = databaseURL
	}
	if raw == "" {
		return "", nil, nil
	}
	u, err := dburl.Parse(raw)
	var bad *dburl.Error
	if errors.As(err, &bad) && i.urlFrom == databaseURL {
		i.unused(wrongInURL(bad))
		return "", nil, nil
	}
	return raw, u, err
}

// unused notes, once, that DATABASE_URL is not used.
func (i *installation) unused(reason string) {
	if i.format == formatText && !i.noted {
		fmt.Fprintln(i.stderr, "note: DATABASE_URL is not used:", reason)
	}
	i.noted = true
}

// ask reads one line from the terminal.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() {
		if a.answers == nil {
			a.answers = bufio.NewReader(os.Stdin)
		}
		text, err := a.answers.ReadString('\n')
		lines <- line{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-lines:
		if errors.Is(l.err, io.EOF) {
			return "", errors.New("no answer was given, nothing was changed")
		}
		return l.text, l.err
	}
}

// confirm asks on a terminal whether to go on.
func (i *installation) confirm(ctx context.Context) error {
	if i.yes || i.format != formatText || !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	answer, err := i.ask(ctx, "Write this? [Y/n] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "", "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was changed")
}

// refused is an error for files that are in the way, which it shows.
func (i *installation) refused(plan *install.Plan) error {
	blocked := plan.Has(install.Differs)
	if !i.Upgrade {
		blocked = append(blocked, plan.Has(install.Conflict)...)
	}
	if len(blocked) == 0 {
		return nil
	}
	paths := make([]string, len(blocked))
	for n, f := range blocked {
		paths[n] = f.Path
		if i.format == formatText {
			fmt.Fprint(i.stdout, f.Diff())
		}
	}
	var err error
	if i.format == formatJSON {
		err = i.printJSON(i.result(plan, nil))
	}
	differ := "differ"
	if len(paths) == 1 {
		differ = "differs"
	}
	return errors.Join(err, fmt.Errorf("%s already there and %s from what would be written: rename or remove what is "+
		"yours, or replace it with --force; nothing was changed",
		strings.Join(paths, ", "), differ))
}

func (i *installation) result(plan *install.Plan, result *install.Result) installResult {
	r := installResult{
		Plan: plan, Result: result, DryRun: i.dryRun, Diffs: map[string]string{}, Notes: i.notes(plan.Notes),
	}
	for _, f := range plan.Files {
		if f.Action != install.Create && f.Diff() != "" {
			r.Diffs[f.Path] = f.Diff()
		}
	}
	return r
}

// steps are how the plan is applied from the command line.
func (i *installation) steps(dev func(context.Context) (*planner.Dev, error)) install.Steps {
	s := install.Steps{NoMigration: i.noMigration, Dev: dev}
	if i.format == formatText {
		begin := time.Now()
		s.Progress = func(step string) {
			fmt.Fprintf(i.stderr, "%5s  %s\n", time.Since(begin).Round(time.Second), step)
		}
	}
	return s
}

// dev opens the database to plan a migration in; nil where no server is known, and for SQLite, which needs none. A
// database of another kind is an error where a flag names it; DATABASE_URL may be there for something else.
func (i *installation) dev(db string) (func(context.Context) (*planner.Dev, error), error) {
	var raw string
	var u *dburl.URL
	var err error
	open, flag := planner.Scratch, "--url"
	if i.devURL == "" {
		raw, u, err = i.address()
	} else {
		raw, open, flag = i.devURL, planner.OpenDev, "--dev-url"
		i.urlFrom = flag
		u, err = dburl.Parse(raw)
	}
	if u == nil {
		return nil, err
	}
	if (u.Dialect == dialect.SQLite) != (db == "sqlite") {
		kind := strings.TrimSuffix(u.Dialect, "3") // sqlite3 is the driver's name
		if i.urlFrom != databaseURL {
			return nil, fmt.Errorf("%s names a %s database, and this project is set up for %s: correct it, or leave "+
				"it out; nothing was changed", flag, kind, db)
		}
		i.unused(fmt.Sprintf("it names a %s database, and this project is set up for %s", kind, db))
		return nil, nil
	}
	if db == "sqlite" {
		return nil, nil
	}
	name := u.String()
	if i.devURL == "" {
		name = "scratch database on " + u.WithDatabase("").String()
	}
	return func(ctx context.Context) (*planner.Dev, error) {
		i.announce(source{Database: name})
		return open(ctx, raw)
	}, nil
}

// report prints what was done, or would be.
func (i *installation) report(plan *install.Plan, result *install.Result) error {
	if i.format == formatJSON {
		return i.printJSON(i.result(plan, result))
	}
	switch {
	case result != nil && result.Migration != "":
		fmt.Fprintf(i.stdout, "%-8s  %s\n", "create", result.Migration)
		for _, change := range result.Destructive {
			fmt.Fprintf(i.stderr, "warning: %s %s\n", result.Migration, change)
		}
	case result != nil:
	case plan.Changes():
		i.printPlanned(plan)
		fmt.Fprintln(i.stderr, "dry run: nothing was changed")
	default:
		fmt.Fprintln(i.stderr, "nothing to do: everything is installed and as it should be")
	}
	for _, note := range i.notes(plan.Notes) {
		fmt.Fprintln(i.stderr, "note:", note)
	}
	return nil
}

// printPlanned prints what happens to each file, and how: on a dry run of every one
// that changes, else of those of which something is lost.
func (i *installation) printPlanned(plan *install.Plan) {
	for _, f := range plan.Files {
		if f.Action != install.Keep {
			fmt.Fprintf(i.stdout, "%-8s  %-36s  %s\n", f.Action, f.Path, f.Reason)
		}
	}
	for _, m := range plan.Requirements {
		fmt.Fprintf(i.stdout, "%-8s  %s %s\n", "require", m.Module, m.Version)
	}
	for _, f := range plan.Files {
		if f.Action == install.Replace || i.dryRun && f.Action != install.Create {
			fmt.Fprint(i.stdout, f.Diff())
		}
	}
}

// entities reads the arguments of add and view: schema auth, or schema auth/NAME, once or more often.
func entities(cmd *cobra.Command, args []string) ([]string, error) {
	example := cmd.CommandPath() + " schema auth"
	if len(args) < 2 || args[0] != "schema" {
		return nil, fmt.Errorf("%s takes schema and what of it, as in: %s or %s/session", cmd.CommandPath(), example,
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

// nearest are the known words that one might have meant.
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
