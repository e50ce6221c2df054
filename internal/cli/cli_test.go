package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOneLine(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a b; c", oneLine("a\tb\n\n  c\r\n"))
	assert.Equal(t, "red [31m", oneLine("red\x1b[31m"))
	assert.Empty(t, oneLine(""))
}
