package install

import (
	"context"
	"errors"
	"io/fs"

	"github.com/rogpeppe/go-internal/diff"
)

// Action is what happens to a file.
type Action string

// The actions.
const (
	Create  Action = "create"
	Keep    Action = "keep"    // it is as it should be, or only the user changed it
	Update  Action = "update"  // it is as it was installed, and changes
	Merge   Action = "merge"   // the user changed it, and both changes fit
	Replace Action = "replace" // what is there is lost, by Force
	Differs Action = "differs" // something else is there
	// Conflict is a merge in which both changed the same lines.
	Conflict Action = "conflict"
	Deleted  Action = "deleted" // the user deleted it
)

func (a Action) writes() bool {
	return a == Create || a == Update || a == Merge || a == Replace || a == Conflict
}

// File is one file of a plan.
type File struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
	Reason string `json:"reason"`
	// Theirs is whether it is a file of the project that gets a line, or more in one.
	Theirs bool `json:"theirs,omitempty"`
	// Text is what it will hold.
	Text string `json:"-"`

	stored  string // what it holds now
	current string // the text of that
	style   style  // and the style
	base    string // the text that was installed last
}

// Diff is what changes in the file, as a unified diff.
func (f File) Diff() string {
	if f.Action == Keep || f.Action == Deleted {
		return ""
	}
	return string(diff.Diff("a/"+f.Path, []byte(f.current), "b/"+f.Path, []byte(f.Text)))
}

// holds sets what the file holds now.
func (f *File) holds(stored []byte) {
	f.stored = string(stored)
	f.current, f.style = plain(stored)
}

// bytes are what it will hold, in the style that it has.
func (f File) bytes() []byte { return f.style.stored(f.Text) }

// classify decides what happens to one file.
func (p *Project) classify(ctx context.Context, s sourceFile, o Options) (File, error) {
	f := File{Path: s.path, Reason: s.reason, Text: s.text, Action: Create}
	recorded := false
	if p.record != nil {
		f.base, recorded = p.record.files[s.path]
	}
	text, err := p.read(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if recorded && (o.Upgrade || !o.Force) {
			f.Action = Deleted
		}
		return f, nil
	case err != nil:
		return f, err
	}
	f.holds(text)
	switch {
	case f.current == f.Text || recorded && f.base == f.Text:
		f.Action, f.Text = Keep, f.current
	case recorded && f.current == f.base:
		f.Action = Update
	case !recorded && o.Force:
		f.Action = Replace
	case !recorded:
		f.Action = Differs
	default:
		text, conflicts, err := merge(ctx, f, p.record.version, o.Version)
		if err != nil {
			return f, err
		}
		switch {
		case conflicts && o.Force && !o.Upgrade:
			f.Action = Replace
		case conflicts:
			f.Text, f.Action = text, Conflict
		default:
			f.Text, f.Action = text, Merge
		}
	}
	return f, nil
}
