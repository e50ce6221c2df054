package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/spf13/cobra"

	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/english"
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
	addEntFlag(cmd, &i.Dir)
	flags.BoolVar(&i.Force, "force", false, "replace files that are in the way, and bring back those that you deleted")
	i.addSafetyFlags(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error { return i.Check() }
}

// addEntFlag adds --ent. It refuses --dir, which names the migrations everywhere else.
func addEntFlag(cmd *cobra.Command, folder *string) {
	flags := cmd.Flags()
	flags.StringVar(folder, "ent", "", "the ent `folder`, relative to go.mod (default as set up before, else ent)")
	flags.Func("dir", "", func(string) error { return errors.New("the ent folder is named with --ent") })
	_ = flags.MarkHidden("dir") // it fails only for a flag that does not exist
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
	// Notes are what the user should know. They are no errors.
	Notes []string `json:"notes,omitempty"`
	// Diffs are the changes to files that were there, by path.
	Diffs map[string]string `json:"diffs,omitempty"`
}

// install plans the installation, shows it, and carries it out. It returns nil on a dry run, and if nothing was to do.
func (i *installation) install(ctx context.Context) (result *install.Result, err error) {
	var journal *install.Journal
	if !i.dryRun {
		if journal, err = i.lock(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, journal.Close()) }()
	} else if err := install.CheckFinished("."); err != nil {
		return nil, err
	}
	project, plan, err := i.plan(ctx)
	if err != nil {
		return nil, err
	}
	if i.noMigration {
		plan.Notes = slices.DeleteFunc(plan.Notes, func(n *install.Error) bool {
			return n.Reason == install.TwoHistories
		})
	}
	if !plan.Changes() {
		return nil, i.report(plan, nil)
	}
	dev, err := i.dev(plan.DB)
	if err != nil {
		return nil, err
	}
	i.dirPath = plan.Migrations // for the commands that errors name
	run, err := plan.Prepare(ctx, install.ApplyOptions{NoMigration: i.noMigration, Dev: dev})
	if err != nil {
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
	if result, err = run.Apply(ctx, journal, i.progress()); err != nil {
		return nil, err
	}
	if err := i.report(plan, result); err != nil {
		return nil, err
	}
	return result, i.conflicts(plan)
}

// plan plans the installation into the module of the current folder.
func (i *installation) plan(ctx context.Context) (*install.Project, *install.Plan, error) {
	project, err := install.Open(".")
	if err != nil {
		return nil, nil, err
	}
	if i.Upgrade && project.DB() == "" {
		return nil, nil, errors.New("nothing was installed here: " + install.RecordFile +
			" is missing; begin with authgraph add schema auth")
	}
	if err := i.chooseDatabase(ctx, project); err != nil {
		return nil, nil, err
	}
	plan, err := i.planWith(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	return project, plan, i.checkBlocked(plan)
}

// lock keeps other runs out. It undoes a run that was killed, and says so.
func (i *installation) lock(ctx context.Context) (*install.Journal, error) {
	journal, err := install.Lock(ctx, ".", func() {
		fmt.Fprintln(i.info, "waiting for another authgraph in this folder, or for a go command that a killed one had "+
			"started")
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

// conflicts are the findings of a plan; nil if there are none.
func (i *installation) conflicts(plan *install.Plan) error {
	conflicts := plan.Has(install.Conflict)
	if len(conflicts) == 0 {
		return nil
	}
	files := english.Count(len(conflicts), "file") + " in conflict"
	if i.dryRun {
		return &findings{files + ", as shown between the markers <<<<<<< and >>>>>>>"}
	}
	return &findings{fmt.Sprintf("%s: edit between the markers <<<<<<< and >>>>>>>, then run go generate ./%s", files,
		plan.Dir)}
}

// address is the database URL, as in database; nil if there is none. A DATABASE_URL that is wrong is not used: it may
// be meant for another program.
func (i *installation) address() (*dburl.URL, string, error) {
	u, raw, err := i.database()
	var bad *dburl.Error
	switch {
	case errors.Is(err, errNoDatabase):
		return nil, "", nil
	case errors.As(err, &bad) && i.urlFrom == databaseURL:
		i.unused(wrongInURL(bad))
		return nil, "", nil
	}
	return u, raw, err
}

// unused notes, once, that DATABASE_URL is not used.
func (i *installation) unused(reason string) {
	if i.format == formatText && !i.noted {
		fmt.Fprintln(i.info, "note: DATABASE_URL is not used:", reason)
	}
	i.noted = true
}

// checkBlocked refuses a plan that files are in the way of, and shows them.
func (i *installation) checkBlocked(plan *install.Plan) error {
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
			i.stdout.paintDiff(f.Diff())
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
		"yours, or replace it with --force%s; nothing was changed",
		strings.Join(paths, ", "), differ, besides(plan, blocked)))
}

// besides is what else can be done about files that are in the way.
func besides(plan *install.Plan, blocked []install.File) string {
	text := leaveOut(plan, blocked)
	if slices.ContainsFunc(blocked, func(f install.File) bool { return path.Base(f.Path) == "user.go" }) {
		text += ", or attach the others to a User of yours with --user User"
	}
	return text
}

// leaveOut is the call that installs the other entities, where only entities of the project's own are in the way.
func leaveOut(plan *install.Plan, blocked []install.File) string {
	if plan.Auth { // it needs them all
		return ""
	}
	others := slices.Clone(plan.Entities)
	for _, f := range blocked {
		n := slices.IndexFunc(install.Entities, func(e install.Entity) bool { return path.Base(f.Path) == e.File })
		if n < 0 || f.Action != install.Differs {
			return ""
		}
		others = slices.DeleteFunc(others, func(name string) bool { return name == install.Entities[n].Name })
	}
	if len(others) == 0 {
		return ""
	}
	return ", or leave it out: authgraph add schema auth/" + strings.Join(others, " auth/")
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

// progress prints each step with the time since the begin.
func (i *installation) progress() func(step string) {
	begin := time.Now()
	return func(step string) {
		if i.format == formatText {
			fmt.Fprintf(i.info, "%5s  %s\n", time.Since(begin).Round(time.Second), step)
		}
	}
}

// dev opens the database to plan a migration in; nil if no server is known, and for SQLite, which needs none. If a flag
// names a database of another kind, that is an error. DATABASE_URL may be meant for another program.
func (i *installation) dev(db string) (func(context.Context) (*planner.Dev, error), error) {
	var raw string
	var u *dburl.URL
	var err error
	open, flag := planner.Scratch, "--url"
	if i.devURL == "" {
		u, raw, err = i.address()
	} else {
		raw, open, flag = i.devURL, planner.OpenDev, "--dev-url"
		i.urlFrom = flag
		u, err = dburl.Parse(raw)
	}
	if u == nil {
		return nil, err
	}
	if u.Dialect != install.Dialect(db) {
		kind := strings.TrimSuffix(u.Dialect, "3") // sqlite3 is the driver's name
		if i.urlFrom != databaseURL {
			return nil, fmt.Errorf("%s names a %s database, and this project is set up for %s: correct it, or leave "+
				"it out; nothing was changed", flag, kind, db)
		}
		i.unused(fmt.Sprintf("it names a %s database, and this project is set up for %s", kind, db))
		return nil, nil
	}
	if u.Dialect == dialect.SQLite {
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
		if result.Baseline != "" {
			fmt.Fprintf(i.stdout, "%-8s  %s\n", "create", result.Baseline)
		}
		fmt.Fprintf(i.stdout, "%-8s  %s\n", "create", result.Migration)
		for _, change := range result.Destructive {
			i.warn(result.Migration + " " + change)
		}
	case result != nil:
	case plan.Changes():
		i.printPlanned(plan)
		fmt.Fprintln(i.info, "dry run: nothing was changed")
	default:
		fmt.Fprintln(i.info, "nothing to do: everything is installed and as it should be")
	}
	for _, note := range i.notes(plan.Notes) {
		fmt.Fprintln(i.info, "note:", note)
	}
	return nil
}

// printPlanned prints what happens to each file. It shows the diffs of the files that change on a dry run, else only of
// those that lose something.
func (i *installation) printPlanned(plan *install.Plan) {
	if text := plan.Users.Text(); text != "" && (i.dryRun || plan.Attaches()) {
		fmt.Fprintf(i.stdout, "%s\n", text)
	}
	for _, f := range plan.Files {
		if f.Action != install.Keep {
			fmt.Fprintf(i.stdout, "%-8s  %-36s  %s\n", f.Action, f.Path, f.Reason)
		}
	}
	for _, m := range plan.Requirements {
		if m.From != "" {
			fmt.Fprintf(i.stdout, "%-8s  %s %s -> %s\n", "raise", m.Module, m.From, m.Version)
			continue
		}
		fmt.Fprintf(i.stdout, "%-8s  %s %s\n", "require", m.Module, m.Version)
	}
	for _, f := range plan.Files {
		if f.Action == install.Replace || f.Theirs || i.dryRun && f.Action != install.Create {
			i.stdout.paintDiff(f.Diff())
		}
	}
}
