package owntest_test

import (
	"go/format"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/owntest"
)

func TestEveryProjectIsFormatted(t *testing.T) {
	t.Parallel()
	for _, v := range append(owntest.Matrix(), owntest.Gate...) {
		dir := t.TempDir()
		for _, part := range []string{owntest.Project, owntest.Later, owntest.Tests} {
			require.NoError(t, v.Write(filepath.Join(dir, part), part))
		}
		for file := range sources(t, dir) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			formatted, err := format.Source(text)
			require.NoError(t, err, "%s: %s", v, file)
			assert.Equal(t, string(formatted), string(text), "%s: %s", v, file)
		}
	}
}

// sources are the Go files below a folder.
func sources(t *testing.T, dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" && !yield(path) {
				return fs.SkipAll
			}
			return err
		}))
	}
}
