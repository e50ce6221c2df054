package install

import (
	"errors"
	"fmt"
)

// ErrNoModule is in the error of Open for a folder without a go.mod.
var ErrNoModule = errors.New("this is no Go module")

// FolderError is the ErrNoModule of a folder inside of a module.
type FolderError struct {
	// Root is the folder of the module.
	Root string
}

func (e *FolderError) Error() string {
	return fmt.Sprintf("this is a folder of the module in %s: run it there", e.Root)
}

func (e *FolderError) Unwrap() error { return ErrNoModule }

// OptionsError is what is wrong with [Options], and not with the project.
type OptionsError struct{ text string }

func (e *OptionsError) Error() string { return e.text }

func optionsError(format string, args ...any) error {
	return &OptionsError{fmt.Sprintf(format, args...)}
}
