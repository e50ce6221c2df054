package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A guard that was rewritten must not leave the list unnoticed.
func TestEveryListedGuardIsInTheSource(t *testing.T) {
	t.Chdir("../..")
	lines, err := os.ReadFile(list)
	require.NoError(t, err)
	for line := range strings.Lines(string(lines)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m, err := parse(line)
		require.NoError(t, err)
		source, err := os.ReadFile(m.file)
		require.NoError(t, err)
		mutant, err := m.apply(string(source))
		require.NoError(t, err, line)
		require.NotEqual(t, string(source), mutant, line)
	}
}

func TestMutationStaysInItsFunction(t *testing.T) {
	source := "func (s *S) other() {\n\ta.guard()\n}\n\nfunc (s *S) one() {\n\ta.other(a.guard())\n}\n"
	got, err := mutation{function: "one", text: "guard", with: "none"}.apply(source)
	require.NoError(t, err)
	require.Equal(t, strings.Replace(source, "a.other(a.guard())", "a.other(a.none())", 1), got)
	_, err = mutation{function: "two", text: "guard"}.apply(source)
	require.ErrorContains(t, err, "no function two")
	_, err = mutation{function: "one", text: "lock"}.apply(source)
	require.ErrorContains(t, err, "0 times")
}
