package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"entgo.io/ent/dialect"

	"github.com/authgraph/authgraph/internal/adopt"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/dburl"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/install"
	"github.com/authgraph/authgraph/internal/planner"
)

// remedied is an error of a library that keeps what was found apart from what to do about
// it. The library words the latter for Go code, the command line with its flags and commands.
type remedied interface {
	error
	Found() string
	Fix() string
}

// advised is an error with the advice of the command that it stopped.
type advised struct {
	remedied
	advice string
}

func (e *advised) Unwrap() error { return e.remedied }

// line is what is printed of an error. The outermost error in the chain for which the
// command line has words of its own decides; without one it is the text of the error.
func (a *app) line(err error) string {
	for link := err; link != nil; link = errors.Unwrap(link) {
		if text := a.reworded(link); text != "" {
			return text
		}
	}
	return err.Error()
}

// reworded is the text for one error of a chain; empty where its own text is to be printed.
func (a *app) reworded(err error) string {
	switch e := any(err).(type) { // each error of the chain is looked at by itself
	case interface{ Unwrap() []error }:
		return a.joined(e.Unwrap())
	case *install.RunError:
		return a.line(e.Err) + "; " + e.After
	case *dburl.Error:
		if a.urlFrom != "" {
			return "database URL (from " + a.urlFrom + ")" + whatOfURL(e)
		}
	case *advised:
		return e.Found() + ": " + e.advice
	case remedied:
		if fix := a.remedy(e); fix != "" {
			return a.found(e) + ": " + fix
		}
	}
	return ""
}

// found is what an error found. Like every other line, it does not name the directory that the command uses anyway.
func (a *app) found(err remedied) string {
	if sum, ok := any(err).(*directory.ChecksumError); ok && a.isOwn(sum.Path) {
		plain := *sum
		plain.Path = ""
		err = &plain
	}
	return err.Found()
}

// whatOfURL is the address that an error is about, where it could be read, and what is
// wrong with it.
func whatOfURL(e *dburl.Error) string {
	if e.URL != "" {
		return " " + e.URL + ": " + wrongInURL(e)
	}
	return ": " + wrongInURL(e)
}

// wrongInURL is the part at fault, what is wrong with it and what to do.
func wrongInURL(e *dburl.Error) string {
	text := fmt.Sprintf("%s: %v", e.Part, e.Err)
	if e.Fix != "" {
		text += ": " + e.Fix
	}
	return text
}

// joined is the text of several errors, where that of one of them is reworded.
func (a *app) joined(all []error) string {
	var lines []string
	own := false
	for _, err := range all {
		line := a.line(err)
		own = own || line != err.Error()
		lines = append(lines, line)
	}
	if !own {
		return ""
	}
	return strings.Join(lines, "; ")
}

// remedy is what to do about an error, in flags and commands; empty where the library's
// own advice says it all.
func (a *app) remedy(err remedied) string {
	switch e := any(err).(type) {
	case *install.FolderError:
		return "run authgraph there"
	case *install.Error:
		return installRemedy(e)
	case *directory.Error:
		return a.directoryRemedy(e)
	case *directory.ChecksumError:
		if e.Reason == directory.LineEnds {
			return e.Fix()
		}
		if e.File == "" {
			return "restore it, or write it anew with: " + a.commandIn(e.Path, "migrate hash")
		}
		return "undo the change, or accept it with: " + a.commandIn(e.Path, "migrate hash")
	case *history.Error:
		return a.historyRemedy(e)
	case *history.DirtyError:
		return a.dirtyRemedy(e)
	case *history.TakenError:
		return a.takenRemedy(e)
	case *history.SchemaError:
		return "leave out --revisions-schema; two services keep their histories apart in two files"
	case *history.VersionError:
		return a.command("migrate status") + " lists them"
	case *planner.ReplayError:
		if e.Fix() == "" || e.Path == directory.InMemory {
			return ""
		}
		return "correct the file, then run: " + a.commandIn(e.Path, "migrate hash")
	case *planner.DriftError:
		return "plan what is missing with: " + a.command("migrate diff") + " NAME"
	case *planner.FlavourError:
		return "name an empty database of " + e.Flavour + " with --dev-url"
	case *planner.ScratchError:
		return "name an empty database with --dev-url"
	case *adopt.Error:
		return a.adoptRemedy(e)
	case *adopt.StmtError, *adopt.LeftError:
		return fmt.Sprintf("%s shows what is left and what stands in the way, and %[1]s --apply goes on",
			a.command("adopt"))
	}
	return ""
}

// command is a command of authgraph, to be run next, with the --dir of this one.
func (a *app) command(name string) string {
	text := commandWith(a.dirPath, name)
	reading := []string{"migrate apply", "migrate down", "migrate status", "adopt", "doctor"}
	if a.revisionsSchema != "" && slices.Contains(reading, name) {
		text += " --revisions-schema " + shellWord(a.revisionsSchema)
	}
	return text
}

// commandIn is a command to be run next on the directory at path.
func (a *app) commandIn(path, name string) string {
	if a.isOwn(path) {
		return a.command(name)
	}
	return commandWith(fromHere(path), name)
}

func commandWith(dir, name string) string {
	if dir == "" {
		return "authgraph " + name
	}
	return "authgraph " + name + " --dir " + shellWord(dir)
}

// isOwn reports whether path is that of the directory that a command uses, by default or by its --dir.
func (a *app) isOwn(path string) bool {
	if path == "" || path == directory.InMemory {
		return true
	}
	own := cmp.Or(localPath(a.dirPath), a.ownDir)
	return own != "" && filepath.Clean(fromHere(own)) == filepath.Clean(fromHere(path))
}

func (a *app) directoryRemedy(e *directory.Error) string {
	switch e.Problem {
	case directory.ProblemSameVersion:
		return "rename one, then run: " + a.commandIn(e.Path, "migrate hash")
	case directory.ProblemRewrite:
		return e.Fix() + " (authgraph migrate new NAME --dir FOLDER)"
	case directory.ProblemEmpty:
		return "name the folder of the .sql files, or begin one with: " + a.commandIn(e.Path, "migrate diff") + " NAME"
	}
	return ""
}

func (a *app) dirtyRemedy(e *history.DirtyError) string {
	if e.Baseline != "" {
		return fmt.Sprintf("it holds the tables of version %s and none of those after it: if they are the same, as "+
			"where Ent made them, use --baseline %[1]s, then compare with %s", e.Baseline, a.command("doctor"))
	}
	text := "use --allow-dirty to add the tables beside it, or --baseline VERSION if that migration's tables are " +
		"already there"
	if a.dialect == dialect.SQLite {
		return text
	}
	return text + "; a history in another schema is named with --revisions-schema; tables that Drizzle made of the " +
		"ServerCN schema are taken over by " + a.command("adopt")
}

func (a *app) historyRemedy(e *history.Error) string {
	switch e.Reason {
	case history.Foreign:
		if a.dialect == dialect.SQLite {
			return "name that directory with --dir, or use another database"
		}
		return "name that directory with --dir, keep this history apart with --revisions-schema NAME, or use another " +
			"database"
	case history.OutOfOrder:
		return "rename it to a new version, then run: " + a.command("migrate hash")
	case history.PendingPartEdited:
		return "if the edit repairs what did not run, go on with: " + a.command("migrate apply") + " --accept-edit"
	case history.HalfUndone:
		return "finish that first with: " + a.command("migrate down")
	}
	return ""
}

func (a *app) takenRemedy(e *history.TakenError) string {
	switch versioned := e.Versioned(); {
	case !e.Ours():
		return strings.Replace(e.Fix(), "(Baseline)", "with --baseline VERSION", 1)
	case versioned != "":
		return fmt.Sprintf("run ALTER TABLE %s DROP SYSTEM VERSIONING (this deletes its row history), then %s",
			dbserver.Quote(versioned), a.command("adopt"))
	}
	if a.dialect == dialect.SQLite {
		return "if a migration made it, name that one with --baseline VERSION; if not, use another database"
	}
	return "take it over with " + a.command("adopt") + ", or with --baseline VERSION if a migration made it"
}

func (a *app) adoptRemedy(e *adopt.Error) string {
	switch e.Reason {
	case adopt.OnSQLite:
		return "on SQLite start with " + a.command("migrate apply")
	case adopt.Nothing:
		return "make the tables with " + a.command("migrate apply")
	case adopt.Taken:
		return "rename it, or use another database with " + a.command("migrate apply")
	case adopt.HasHistory:
		return "there is nothing to adopt, go on with " + a.command("migrate status") + " and " +
			a.command("migrate apply")
	}
	return ""
}

func installRemedy(e *install.Error) string {
	const otherFolder = "or choose another folder with --ent"
	switch e.Reason {
	case install.IncompleteAuth:
		return "authgraph add schema auth --with-auth"
	case install.OtherDatabase:
		return "leave out --db"
	case install.OtherFolder:
		return "leave out --ent"
	case install.OtherLayout:
		return "move them, or name a folder for a second client with --ent"
	case install.TwoSchemas:
		return "name the ent folder to install into, as --ent " + path.Dir(e.Path)
	case install.OtherVersion:
		return "run authgraph upgrade first"
	case install.NestedModule:
		return "run authgraph there, " + otherFolder
	case install.Symlink:
		return "put what it leads to in its place, " + otherFolder
	case install.MixedPackage:
		return "rename the folder, or leave out --with-auth"
	case install.Uncommitted:
		return "commit or stash it, or use --allow-dirty"
	case install.GitFailed:
		return "correct that, or use --allow-dirty"
	case install.NoSum:
		return "if another tool made them, move them to another folder, or leave out the migration " +
			"with --no-migration; if Atlas did, run authgraph migrate hash --dir " + shellWord(e.Path)
	case install.NoServer:
		return "name one with --url or --dev-url, or leave out the migration with --no-migration"
	case install.UnknownTool:
		return e.Fix() + ", with --migration-tool"
	case install.SeveralTools:
		return "name the folder, as in --migration-tool " + e.Path
	case install.OtherUser:
		return "leave out --user, or auth/user"
	case install.UndecidedUser:
		return "name it with --user, as in --user " + e.Choices[0] + ", or use --user " + install.NoUser +
			" for authgraph's own User"
	case install.TestsWithoutAuth:
		return "use --with-auth too"
	case install.TakenUser:
		return "have it be the users with --user User, or rename it"
	case install.Unattached:
		return "name the entity that the users are with --user"
	case install.Unfinished:
		return "without --dry-run they are undone first"
	case install.DeletedFile:
		return "--force brings it back"
	case install.Unwired:
		return "authgraph add schema auth/user wires it"
	case install.TwoHistories:
		return "to go on with those, use --no-migration, then authgraph migrate diff NAME --dir FOLDER, " +
			"or their own tool"
	}
	return ""
}

// notes are those of a plan, as lines.
func (a *app) notes(all []*install.Error) (lines []string) {
	for _, note := range all {
		lines = append(lines, a.line(note))
	}
	return lines
}
