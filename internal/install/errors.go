package install

import "fmt"

// Error is a reason not to install into a project as it is, or a note about it.
type Error struct {
	Reason Reason
	// Path is the file or folder at fault; empty if there is none.
	Path string
	// Choices are the names to choose from, where that is what is missing.
	Choices []string

	found, fix string
}

// Reason tells apart the errors for which a program has its own remedy.
type Reason string

// The reasons. Those up to TestsWithoutAuth are wrong in [Options], the others in the project.
const (
	UnknownDatabase Reason = "unknown database"
	UnfitFolder     Reason = "unfit folder"
	IncompleteAuth  Reason = "incomplete auth"
	OtherDatabase   Reason = "other database"
	OtherFolder     Reason = "other folder"
	UnknownTool     Reason = "unknown tool"
	OtherUser       Reason = "other user"

	TestsWithoutAuth Reason = "tests without auth"

	OtherVersion  Reason = "other version"
	OtherLayout   Reason = "other layout"
	TwoSchemas    Reason = "two schemas"
	NestedModule  Reason = "nested module"
	Symlink       Reason = "symbolic link"
	MixedPackage  Reason = "mixed package"
	Uncommitted   Reason = "uncommitted"
	GitFailed     Reason = "git failed"
	NoSum         Reason = "no atlas.sum"
	NoServer      Reason = "no server"
	NotLoaded     Reason = "not loaded"
	Unfinished    Reason = "unfinished run"
	DeletedFile   Reason = "deleted file"
	MovedFile     Reason = "moved file"
	Unwired       Reason = "unwired"
	TwoHistories  Reason = "two histories"
	SeveralTools  Reason = "several tools"
	UndecidedUser Reason = "undecided user"
	UndecidedRule Reason = "undecided rule"
	Recorded      Reason = "recorded"
	TakenUser     Reason = "taken user"
	Unmapped      Reason = "unmapped"
	Unattached    Reason = "unattached"
)

// OfOptions reports whether the [Options] are wrong, and not the project.
func (r Reason) OfOptions() bool {
	switch r {
	case UnknownDatabase, UnfitFolder, IncompleteAuth, OtherDatabase, OtherFolder, UnknownTool, OtherUser,
		TestsWithoutAuth:
		return true
	}
	return false
}

// Found says what is wrong, and where.
func (e *Error) Found() string { return e.found }

// Fix says what to do about it.
func (e *Error) Fix() string { return e.fix }

func (e *Error) Error() string { return e.found + ": " + e.fix }

// ErrNoModule is the error of [Open] for a folder that neither has a go.mod nor lies inside of a module.
var ErrNoModule error = &Error{
	found: "this is no Go module",
	fix:   "make one with go mod init example.com/app, or change to the folder of go.mod",
}

// FolderError is a folder inside of a module. It is an [ErrNoModule] too.
type FolderError struct {
	// Root is the folder of the module.
	Root string
}

// Found says where the module is.
func (e *FolderError) Found() string { return "this is a folder of the module in " + e.Root }

// Fix says what to do.
func (e *FolderError) Fix() string   { return "open that folder instead" }
func (e *FolderError) Error() string { return e.Found() + ": " + e.Fix() }
func (e *FolderError) Unwrap() error { return ErrNoModule }

// RunError is an error of a run, with what became of the project.
type RunError struct {
	Err error
	// After is what became of it, as in "nothing was changed".
	After string
}

func (e *RunError) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.After) }
func (e *RunError) Unwrap() error { return e.Err }

// unchanged is an error after which the project is as it was.
func unchanged(err error) error {
	if err == nil {
		return nil
	}
	return &RunError{err, "nothing was changed"}
}
