package commonpassword

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEveryPasswordOfTheListIsFoundAndNoPartOfOne(t *testing.T) {
	t.Parallel()
	words := strings.Fields(list)
	assert.True(t, slices.IsSorted(words))
	for _, w := range words {
		assert.True(t, Contains(w), w)
		if part := w[1:]; !slices.Contains(words, part) {
			assert.False(t, Contains(part), part)
		}
	}
	for _, w := range []string{"", " ", "\n", words[0] + " " + words[1], "correct horse battery staple"} {
		assert.False(t, Contains(w), "%q", w)
	}
}

// OWASP ASVS 5.0.0, 6.2.4.
func TestTheListHas3000PasswordsOfEachMinimumLength(t *testing.T) {
	t.Parallel()
	for least := 8; least <= 16; least++ {
		n := 0
		for w := range strings.FieldsSeq(list) {
			if len(w) >= least {
				n++
			}
		}
		assert.GreaterOrEqual(t, n, 3000, "with %d characters or more", least)
	}
}

func BenchmarkContains(b *testing.B) {
	for b.Loop() {
		Contains("correct-horse-battery-staple")
	}
}
