package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnAnnotationIsOneCommand(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.annotation("error", "a,b:c\n::add-mask::x.sql", 3, "AG100", "100 %\r\n::stop-commands::x\x1b[31m##[add-mask]x")
	assert.Equal(t, "::error file=a%2Cb%3Ac%0A%3A%3Aadd-mask%3A%3Ax.sql,line=3,title=AG100::"+
		"100 %25%0D%0A::stop-commands::x<U+001B>[31m##[add-mask]x\n", out.String())

	// Lines beside the annotations are no commands either.
	code := Run([]string{"migrate", "lint", "--format", "github", "--url", "sqlite://x.db", "--dir",
		"##[add-mask]x"}, &out, &errs)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs.String(), "## [add-mask]x")
	assert.NotContains(t, errs.String(), "##[")
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a b; c", oneLine("a\tb\n\n  c\r\n"))
	assert.Equal(t, "red [31m", oneLine("red\x1b[31m"))
	assert.Empty(t, oneLine(""))
}
