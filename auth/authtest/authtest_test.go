package authtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRepeatRunsEachScenarioAtLeastOnce(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 7: 7} {
		var o options
		Repeat(n)(&o)
		assert.Equal(t, want, o.rounds, "Repeat(%d)", n)
	}
}
